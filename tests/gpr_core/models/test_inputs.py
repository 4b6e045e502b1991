"""Tests of token embedding."""

import pytest
import torch

from gpr_core.models.inputs import CodeEmbedding, TokenInputs
from gpr_core.models.token_aware import group_tokens, unpack
from gpr_core.support.errors import ContractError, ShapeError
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SIZES, make_batch

WIDTH = 6


def make_inputs():
    """Make the two modules, with identity linear layers."""
    seed_global_torch(0, "inputs")
    codes, inputs = CodeEmbedding(SIZES, WIDTH), TokenInputs(SIZES, WIDTH)
    with torch.no_grad():
        inputs.linear.weight_SDD[:] = torch.eye(WIDTH)
    return codes, inputs


def embed(batch, codes, inputs):
    """Embed a batch as a grid."""
    groups = group_tokens(batch.kind_BT)
    return unpack(inputs(batch, groups, codes), groups)


def test_codes_of_different_levels_have_different_rows():
    codes, _ = make_inputs()
    found = codes(torch.tensor([[1, 1, 1]]))
    # Level 2 starts after the 4 codes of level 1, level 3 after 3 more.
    torch.testing.assert_close(found[0], codes.table_VE[[1, 5, 8]].sum(0))


def test_a_level_has_the_embeddings_of_its_codes():
    codes, _ = make_inputs()
    torch.testing.assert_close(codes.level(1), codes.table_VE[4:7])


def test_an_empty_prefix_has_no_embedding():
    codes, _ = make_inputs()
    assert torch.equal(codes(torch.zeros(2, 0, dtype=torch.int64)), torch.zeros(2, WIDTH))


def test_a_token_is_the_sum_of_kind_codes_and_fields():
    codes, inputs = make_inputs()
    batch = make_batch("O")
    embedded_BTD = embed(batch, codes, inputs)
    # Organic fields follow the unused row 0 and the 735 values of the user fields.
    starts = torch.tensor([1 + 735, 740, 748, 764, 772, 900])
    expected = inputs.kind_KD[1] + inputs.field_VE[starts + batch.feat_BTF[0, 0, :6]].sum(0)
    expected = expected + codes(batch.sid_BTL[:, 0])[0]
    torch.testing.assert_close(embedded_BTD[0, 0], expected)


def test_the_same_codes_embed_alike_for_content_and_ads():
    codes, inputs = make_inputs()
    with_codes = make_batch("OI")
    without = with_codes._replace(has_sid_BT=torch.zeros(1, 2, dtype=torch.bool))
    same = with_codes.sid_BTL[:, :1].expand(-1, 2, -1)
    part = embed(with_codes._replace(sid_BTL=same), codes, inputs) - embed(without, codes, inputs)
    torch.testing.assert_close(part[0, 0], part[0, 1])


def test_tokens_without_codes_ignore_them():
    codes, inputs = make_inputs()
    batch = make_batch("UE")
    other = batch._replace(sid_BTL=torch.ones_like(batch.sid_BTL))
    assert torch.equal(embed(batch, codes, inputs), embed(other, codes, inputs))


def test_fields_that_a_kind_lacks_never_learn():
    codes, inputs = make_inputs()
    embed(make_batch("OIO"), codes, inputs).sum().backward()
    assert not inputs.field_VE.grad[0].any()
    assert not inputs.field_VE[0].any()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("kind_BT", 5, "1 values are no kind of this model, first at \\[0, 2\\]"),
        ("feat_BTF", 2048, "values are no field of this model"),
        ("sid_BTL", -1, "values are no code of this model"),
    ],
)
def test_values_out_of_range_are_refused(name, value, message):
    _, inputs = make_inputs()
    batch = make_batch("UOE")
    changed = getattr(batch, name).clone()
    changed[0, 2] = value
    with pytest.raises(ContractError, match=message):
        inputs.check(batch._replace(**{name: changed}))


def test_a_field_in_a_slot_that_the_kind_lacks_is_refused():
    _, inputs = make_inputs()
    batch = make_batch("O")
    batch.feat_BTF[0, 0, 7] = 1
    with pytest.raises(ContractError, match="1 values are no field of this model"):
        inputs.check(batch)


def test_a_wrong_number_of_levels_is_refused():
    _, inputs = make_inputs()
    with pytest.raises(ShapeError, match="sid_BTL has shape"):
        inputs.check(make_batch("UOE", sizes=(4, 3)))


def test_narrow_tables_are_widened_by_one_matrix_each():
    seed_global_torch(0, "inputs")
    codes, inputs = CodeEmbedding(SIZES, WIDTH, 2), TokenInputs(SIZES, WIDTH, 2)
    assert codes.table_VE.shape == (sum(SIZES), 2)
    assert inputs.field_VE.shape[1] == 2
    found = codes(torch.tensor([[1, 1, 1]]))[0]
    expected = codes.level(0)[1] + codes.level(1)[1] + codes.level(2)[1]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(codes.level(1), codes.table_VE[4:7] @ codes.widen.weight.T)
    assert embed(make_batch("UOEI"), codes, inputs).shape == (1, 4, WIDTH)


def test_tables_of_the_width_of_the_model_have_no_matrix():
    assert not list(CodeEmbedding(SIZES, WIDTH, WIDTH).widen.parameters())
