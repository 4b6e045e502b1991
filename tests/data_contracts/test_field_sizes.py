"""Bounds in the contracts follow the sizes of the embeddings that read the columns."""

import pytest

from data_contracts.load import load_contract
from gpr_core.data.tables import TokenKind
from gpr_core.features.fields import FIELDS

SIZES = {field.name: field.size for fields in FIELDS.values() for field in fields}
# A column whose own 0 means unknown is read as it is, any other one is shifted by one.
READ_AS_IT_IS = {"geo_l1": "geo_l1", "geo_l2": "geo_l2"}
SHIFTED = {
    "cat_l1": "category", "brand": "brand", "topic_brand": "brand", "position": "position",
    "placement": "placement", "os": "os", "net": "net",
}  # fmt: skip


def upper_bounds(name):
    """Column -> largest value that a rule of the contract lets pass."""
    rules = load_contract(name).rules
    return {
        rule.columns[0]: rule.arguments["max_value"]
        for rule in rules
        if rule.expectation == "expect_column_values_to_be_between"
        and "max_value" in rule.arguments
    }


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("users", ("geo_l1", "geo_l2")),
        ("ads", ("cat_l1", "brand")),
        ("catalog_ads", ("cat_l1", "brand")),
        ("content", ("cat_l1", "topic_brand")),
        ("requests", ("position", "placement", "os", "net")),
        ("decisions", ("geo_l1", "geo_l2", "position", "placement", "os", "net")),
        ("snapshot_requests", ("geo_l1", "geo_l2", "position", "placement", "os", "net")),
    ],
)
def test_the_largest_value_has_a_place_of_its_own(name, columns):
    bounds = upper_bounds(name)
    for column in columns:
        if column in READ_AS_IT_IS:
            assert bounds[column] == SIZES[READ_AS_IT_IS[column]] - 1
        else:
            assert bounds[column] == SIZES[SHIFTED[column]] - 2


def test_the_fields_of_timelines_fit_their_sizes():
    expression = load_contract("timelines").expressions["fields_fit"]
    for kind, fields in FIELDS.items():
        used = " AND ".join(f"f{idx} < {field.size}" for idx, field in enumerate(fields))
        unused = "".join(f" AND f{idx} = 0" for idx in range(len(fields), 8))
        assert f"WHEN {int(kind)} THEN {used}{unused} " in expression
    assert f"WHEN {int(TokenKind.PAD)}" not in expression
