import pytest
import torch

from gpr_core.objectives.policy_loss import (
    clipped_surrogate,
    k3_divergence,
    node_mean,
    policy_loss,
)
from gpr_core.support.errors import ShapeError


def test_surrogate_takes_the_pessimistic_of_ratio_and_clip():
    ratio = torch.tensor([[1.5, 0.5, 1.5, 0.5]])
    advantage = torch.tensor([[1.0, 1.0, -1.0, -1.0]])
    found = clipped_surrogate(ratio.log(), torch.zeros(1, 4), advantage, 0.2)
    # The smaller of 1.5 and 1.2, of 0.5 and 0.8, of -1.5 and -1.2, of -0.5 and -0.8.
    torch.testing.assert_close(found, torch.tensor([[1.2, 0.5, -1.5, -0.8]]))


def test_ratio_beyond_the_clip_passes_no_gradient():
    logp = torch.tensor([[1.5, 1.1]]).log().requires_grad_()
    clipped_surrogate(logp, torch.zeros(1, 2), torch.ones(1, 2), 0.2).sum().backward()
    assert logp.grad is not None
    torch.testing.assert_close(logp.grad, torch.tensor([[0.0, 1.1]]))


def test_shapes_must_agree():
    with pytest.raises(ShapeError, match="give one number per candidate and level"):
        clipped_surrogate(torch.zeros(1, 2), torch.zeros(1, 2), torch.zeros(1, 1), 0.2)


def test_advantage_with_gradient_is_refused():
    with pytest.raises(ShapeError, match="must be constants"):
        clipped_surrogate(
            torch.zeros(1, 1), torch.zeros(1, 1), torch.zeros(1, 1, requires_grad=True), 0.2
        )


def test_wide_subtrees_weigh_as_one_choice():
    value = torch.tensor([1.0, 1.0, 1.0, 5.0])
    assert node_mean(value, torch.tensor([3, 3, 3, 8])).item() == 3.0


def test_k3_is_zero_at_equality_and_positive_elsewhere():
    logp = torch.tensor([0.5, 0.25]).log()
    other = torch.tensor([0.5, 0.5]).log()
    # second: 2 - ln 2 - 1
    torch.testing.assert_close(k3_divergence(logp, other), torch.tensor([0.0, 0.306853]))


def test_loss_in_closed_form():
    logp = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]])
    advantage = torch.tensor([[2.0, 1.0], [2.0, -1.0], [5.0, 3.0]])
    group = torch.tensor([[0, 0], [0, 1], [1, 2]])
    reference = torch.tensor([[2.0, 1.0]] * 3).log()
    found = policy_loss(
        logp, logp, advantage, group, clip=0.2, reference_logp_ML=reference, kl_weight=0.1
    )
    # Level 1: nodes (2, 5) -> 3.5; level 2: candidates (1, -1, 3) -> 1; mean 2.25.
    # k3 against the reference: 2 - ln 2 - 1 = 0.306853 at level 1, 0 at level 2.
    assert found.loss.item() == pytest.approx(-2.25 + 0.0306853 / 2, abs=1e-6)
    assert found.kl.item() == 0.0
    assert found.clip_share.item() == 0.0


def test_diagnostics_count_clipped_ratios():
    logp = torch.tensor([[1.5, 1.0]]).log()
    zeros = torch.zeros(1, 2)
    found = policy_loss(
        logp, zeros, zeros, zeros.long(), clip=0.2, reference_logp_ML=zeros, kl_weight=0.0
    )
    assert found.clip_share.item() == 0.5
    # exp(-ln 1.5) + ln 1.5 - 1 at level 1, 0 at level 2
    assert found.kl.item() == pytest.approx((1 / 1.5 + 0.405465 - 1) / 2, abs=1e-5)
