"""The fields of each token kind fit the columns of a timeline."""

from gpr_core.data.tables import TokenKind
from gpr_core.features.fields import FIELDS, NUM_FIELDS


def test_every_kind_but_padding_has_fields_that_fit_the_columns():
    assert set(FIELDS) == set(TokenKind) - {TokenKind.PAD}
    assert max(len(fields) for fields in FIELDS.values()) <= NUM_FIELDS


def test_names_are_unique_within_a_kind_and_sizes_hold_more_than_unknown():
    for fields in FIELDS.values():
        assert len({field.name for field in fields}) == len(fields)
        assert all(field.size >= 2 for field in fields)
