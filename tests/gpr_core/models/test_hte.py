"""Tests of the value heads."""

import pytest
import torch

from gpr_core.models.hte import AD_FIELDS, HTE
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SIZES, SMALL

ROWS = torch.tensor([1, 0, 1, 2])
PATHS = torch.tensor([[0, 1, 4], [3, 2, 0], [1, 0, 2], [2, 2, 3]])
ADS = torch.tensor([[1, 2, 3, 4, 5], [0, 0, 0, 0, 0], [3, 15, 7, 127, 2047], [2, 1, 1, 1, 1]])


def make_hte():
    """Make value heads and the states of three readouts."""
    seed_global_torch(0, "hte")
    hte = HTE(SMALL, SIZES)
    with torch.no_grad():
        hte.value_length_PD.normal_()
        hte.item_out_XD.normal_()
    return hte, hte.state(*(torch.randn(3, SMALL.width) for _ in range(3)))


def test_the_value_depends_on_the_number_of_codes_and_on_each_code():
    hte, state_MX = make_hte()
    values = torch.stack([hte.prefix_values(state_MX, ROWS, PATHS[:, :p]) for p in range(3)])
    assert len(set(values[:, 0].tolist())) == 3


def test_inputs_are_cut_off_from_their_gradient():
    hte, _ = make_hte()
    sources = [torch.randn(3, SMALL.width, requires_grad=True) for _ in range(3)]
    state_MX = hte.state(*sources)
    assert not state_MX.requires_grad
    hte.prefix_values(state_MX, ROWS, PATHS[:, :2]).sum().backward()
    assert [source.grad for source in sources] == [None, None, None]


def test_a_conversion_is_never_likelier_than_a_click():
    hte, state_MX = make_hte()
    values = hte.item_values(state_MX, ROWS, PATHS, ADS)
    torch.testing.assert_close(values.p_ctcvr_N, values.p_ctr_N * values.p_cvr_N)
    assert bool((values.p_ctcvr_N <= values.p_ctr_N).all())
    torch.testing.assert_close(values.p_neg_N, torch.sigmoid(values.neg_logit_N))


def test_item_heads_share_no_parameters():
    hte, state_MX = make_hte()
    values = hte.item_values(state_MX, ROWS, PATHS, ADS)
    values.neg_logit_N.sum().backward()
    touched = hte.item_out_XD.grad.abs().sum(dim=1) > 0
    assert touched.tolist() == [False, False, True]
    per_head = hte.item_state.weight.grad.view(3, SMALL.width, -1).abs().sum(dim=(1, 2)) > 0
    assert per_head.tolist() == [False, False, True]


@pytest.mark.parametrize("field", range(len(AD_FIELDS)))
def test_every_ad_feature_matters(field):
    hte, state_MX = make_hte()
    changed = ADS.clone()
    changed[1, field] = 1
    before = hte.item_values(state_MX, ROWS, PATHS, ADS).ctr_logit_N
    after = hte.item_values(state_MX, ROWS, PATHS, changed).ctr_logit_N
    assert (before != after).tolist() == [False, True, False, False]
