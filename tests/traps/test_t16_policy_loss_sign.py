"""T16: Eq 9 is printed as a loss but is to be maximized; the advantage must be a constant."""

import pytest
import torch

from gpr_core.objectives.advantages import (
    coarse_advantages,
    hepo_advantages,
    request_z_scores,
)
from gpr_core.objectives.policy_loss import policy_loss
from gpr_core.support.errors import ShapeError


def probability_of_the_better_arm(sign):
    """Improve a two-armed policy whose second arm pays more, for 20 updates."""
    logits = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=0.5)
    reward = torch.tensor([[1.0], [3.0]])
    row, group = torch.zeros(2, dtype=torch.int64), torch.tensor([[0], [1]])
    for _ in range(20):
        behavior = torch.log_softmax(logits, 0).detach().unsqueeze(1)
        advantage = hepo_advantages(reward, torch.zeros(2, 1), row, gamma=1.0, lam=0.95, eps=1e-6)
        found = policy_loss(
            torch.log_softmax(logits, 0).unsqueeze(1),
            behavior,
            advantage,
            group,
            clip=0.2,
            reference_logp_ML=behavior,
            kl_weight=0.0,
        )
        optimizer.zero_grad()
        (sign * found.loss).backward()
        optimizer.step()
    return torch.softmax(logits, 0)[1].item()


def test_better_arm_becomes_more_probable():
    assert probability_of_the_better_arm(1.0) > 0.9


def test_twin_with_the_printed_sign_prefers_the_worse_arm():
    assert probability_of_the_better_arm(-1.0) < 0.1


def not_detached(reward_ML, value_ML, row_M, *, gamma, lam, eps):
    """The broken twin: Eq 8 with gradients left in it."""
    coarse_ML = coarse_advantages(reward_ML, value_ML, gamma, lam)
    last_M = request_z_scores(reward_ML[:, -1], row_M, eps, 1.0)
    return torch.cat([coarse_ML, last_M.unsqueeze(1)], dim=1)


def carriers(make_advantages):
    """The check of the second half: name the inputs that a policy update would reach through A."""
    found = []
    for name in ("reward", "critic"):
        given = {"reward": torch.tensor([[1.0, 2.0], [3.0, 5.0]]), "critic": torch.ones(2, 2)}
        given[name].requires_grad_()
        row_M = torch.tensor([0, 0])
        advantage = make_advantages(*given.values(), row_M, gamma=1.0, lam=1.0, eps=1e-6)
        if advantage.requires_grad:
            found.append(name)
    return found


def test_no_gradient_leaves_through_the_advantage():
    assert carriers(hepo_advantages) == []


def test_twin_whose_advantage_is_not_detached_is_caught():
    assert carriers(not_detached) == ["reward", "critic"]


def test_the_loss_refuses_an_advantage_that_is_not_detached():
    value_ML = torch.ones(2, 2, requires_grad=True)
    row_M, logp_ML = torch.tensor([0, 0]), torch.zeros(2, 2)
    advantage = not_detached(torch.eye(2), value_ML, row_M, gamma=1.0, lam=1.0, eps=1e-6)
    with pytest.raises(ShapeError, match="must be constants"):
        policy_loss(
            logp_ML,
            logp_ML,
            advantage,
            torch.zeros(2, 2, dtype=torch.int64),
            clip=0.2,
            reference_logp_ML=logp_ML,
            kl_weight=0.0,
        )
