"""T16: Eq 9 is printed as a loss but is to be maximized; the advantage must be a constant."""

import torch

from gpr_core.objectives.advantages import hepo_advantages
from gpr_core.objectives.policy_loss import policy_loss


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


def test_advantages_are_detached():
    value = torch.zeros(2, 2, requires_grad=True)
    found = hepo_advantages(
        torch.ones(2, 2), value, torch.tensor([0, 0]), gamma=1.0, lam=1.0, eps=1e-6
    )
    assert not found.requires_grad
