"""Tests of the code loss, with numbers worked out by hand."""

import math

import pytest
import torch

from gpr_core.objectives.code_loss import code_loss, path_logp
from gpr_core.support.errors import LegalityError, ShapeError

LN2, LN3 = math.log(2), math.log(3)


def make_case():
    """Two readouts, two heads, two levels with 3 and 2 codes; all logits 0."""
    logits = [torch.zeros(2, 2, 3), torch.zeros(2, 2, 2)]
    paths_MJL = torch.tensor([[[0, 1], [2, 0]], [[1, 0], [9, 9]]])
    ok_MJ = torch.tensor([[True, True], [True, False]])
    legal = [torch.ones(2, 2, 3, dtype=torch.bool), torch.ones(2, 2, 2, dtype=torch.bool)]
    return logits, paths_MJL, legal, ok_MJ


def test_log_probabilities_count_legal_codes_only():
    logits, paths_MJL, legal, ok_MJ = make_case()
    legal[0][0, 1, 0] = False  # two of three codes are left
    legal[1][1, 0, 1] = False  # only the target is left
    logp_MJL = path_logp(logits, paths_MJL, legal, ok_MJ)
    expected = [[[-LN3, -LN2], [-LN2, -LN2]], [[-LN3, 0.0], [0.0, 0.0]]]
    torch.testing.assert_close(logp_MJL, torch.tensor(expected))


def test_a_single_legal_code_passes_no_gradient():
    logits, paths_MJL, legal, ok_MJ = make_case()
    logits[1] = torch.randn(2, 2, 2).requires_grad_()
    legal[1] = torch.nn.functional.one_hot(torch.tensor([[1, 0], [0, 0]]), 2).bool()
    path_logp(logits, paths_MJL, legal, ok_MJ)[..., 1].sum().backward()
    assert not logits[1].grad.any()


def test_a_head_without_target_may_have_no_legal_code():
    logits, paths_MJL, legal, ok_MJ = make_case()
    logits[0] = logits[0].requires_grad_()
    legal[0][1, 1] = False
    path_logp(logits, paths_MJL, legal, ok_MJ).sum().backward()
    assert bool(torch.isfinite(logits[0].grad).all())
    assert not logits[0].grad[1, 1].any()


def test_the_loss_is_equation_3_with_its_normalizer():
    logp_MJL = torch.tensor([[[-1.0, -2.0], [-4.0, -6.0]], [[-3.0, -2.0], [0.0, 0.0]]])
    ok_MJ = torch.tensor([[True, True], [True, False]])
    weights_J = torch.tensor([0.75, 0.25])
    result = code_loss(logp_MJL, ok_MJ, weights_J)
    # (0.75 * (3 + 5) + 0.25 * 10) / (2 levels * 2 readouts with a first target) = 8.5 / 4
    torch.testing.assert_close(result.loss, torch.tensor(2.125))
    assert result.nll_JL.tolist() == [[2.0, 2.0], [4.0, 6.0]]
    assert result.nll_J.tolist() == [2.0, 5.0]
    assert result.count_J.tolist() == [2, 1]


def test_value_weights_scale_targets_and_the_normalizer():
    logp_MJL = torch.tensor([[[-1.0, -2.0], [-4.0, -6.0]], [[-3.0, -2.0], [0.0, 0.0]]])
    ok_MJ = torch.tensor([[True, True], [True, False]])
    omega_MJ = torch.tensor([[2.0, 0.5], [6.0, 99.0]])
    result = code_loss(logp_MJL, ok_MJ, torch.tensor([0.75, 0.25]), omega_MJ)
    # (0.75 * (2*3 + 6*5) + 0.25 * 0.5 * 10) / (2 * (2 + 6)) = 28.25 / 16; NLL stays unweighted
    torch.testing.assert_close(result.loss, torch.tensor(28.25 / 16))
    assert result.nll_J.tolist() == [2.0, 5.0]


def test_shares_divided_by_the_total_of_the_whole_add_up_to_its_loss():
    logp_MJL = torch.tensor([[[-1.0, -2.0], [-4.0, -6.0]], [[-3.0, -2.0], [0.0, 0.0]]])
    ok_MJ = torch.tensor([[True, True], [False, False]])
    weights_J = torch.tensor([0.75, 0.25])
    first, second = (
        code_loss(logp_MJL[row], ok_MJ[row], weights_J, total=torch.tensor(4.0))
        for row in (slice(0, 1), slice(1, 2))
    )
    # (0.75 * 3 + 0.25 * 10) / (2 levels * 4); a share without any target adds nothing.
    assert first.loss.item() == 4.75 / 8
    assert second.loss.item() == 0.0
    assert first.sum_JL.tolist() == [[1.0, 2.0], [4.0, 6.0]]


def test_equal_value_weights_change_nothing():
    logp_MJL, ok_MJ = -torch.rand(5, 3, 2), torch.ones(5, 3, dtype=torch.bool)
    weights_J = torch.full((3,), 1 / 3)
    plain = code_loss(logp_MJL, ok_MJ, weights_J).loss
    torch.testing.assert_close(
        code_loss(logp_MJL, ok_MJ, weights_J, torch.full((5, 3), 7.0)).loss, plain
    )


def test_weights_get_no_gradient():
    weights_J = torch.tensor([0.5, 0.5], requires_grad=True)
    omega_MJ = torch.ones(1, 2, requires_grad=True)
    logp_MJL = torch.tensor([[[-1.0], [-2.0]]], requires_grad=True)
    code_loss(logp_MJL, torch.ones(1, 2, dtype=torch.bool), weights_J, omega_MJ).loss.backward()
    assert weights_J.grad is None
    assert omega_MJ.grad is None
    assert logp_MJL.grad.tolist() == [[[-0.5], [-0.5]]]


def test_an_illegal_target_is_refused():
    logits, paths_MJL, legal, ok_MJ = make_case()
    legal[1][0, 1, 0] = False
    with pytest.raises(LegalityError, match="1 targets are not legal at level 2, first in row 0"):
        path_logp(logits, paths_MJL, legal, ok_MJ)


def test_a_level_too_few_is_refused():
    logits, paths_MJL, legal, ok_MJ = make_case()
    with pytest.raises(ShapeError, match="found 1 logits and 2 legal sets for 2 levels"):
        path_logp(logits[:1], paths_MJL, legal, ok_MJ)


def test_a_batch_without_first_targets_is_refused():
    with pytest.raises(ShapeError, match="no readout of the batch has a weighted target"):
        code_loss(torch.zeros(1, 2, 1), torch.tensor([[False, True]]), torch.tensor([0.5, 0.5]))
