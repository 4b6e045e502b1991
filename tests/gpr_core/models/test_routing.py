"""Tests of the recursion routers."""

import math

import torch

from gpr_core.models.routing import ExpertChoice, TokenChoice
from gpr_core.models.token_aware import group_tokens
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import make_kinds

# Packed by kind: U, then O O O, then E.
GROUPS = group_tokens(make_kinds("UOOOE"))


def steps_of(router, x_GD, groups=GROUPS, num_steps=3):
    """Choose for all recursions on unchanging tokens."""
    taken = []
    for _ in range(num_steps):
        taken.append(router.choose(x_GD, groups, taken))
    return taken


def token_choice():
    """A router whose logits are the token itself."""
    router = TokenChoice(3, 3)
    torch.nn.init.eye_(router.project.weight)
    return router


def expert_choice(scores, serving=(0.0, 0.0)):
    """A router of three recursions with width 1 whose scores are given factors of the token."""
    router = ExpertChoice(1, 3)
    with torch.no_grad():
        router.score_RD.copy_(torch.tensor(scores)[:, None])
        router.serving_RD.copy_(torch.tensor(serving)[:, None])
    return router


def test_a_token_stops_after_its_most_probable_depth():
    logit_GR = torch.tensor([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0], [2.0, 0, 0], [0, 2.0, 0]])
    taken = steps_of(token_choice(), logit_GR)
    p = math.exp(2) / (math.exp(2) + 2)
    assert [step.is_active_G.int().tolist() for step in taken] == [
        [1, 1, 1, 1, 1],
        [0, 1, 1, 0, 1],
        [0, 0, 1, 0, 0],
    ]
    # Only the last recursion of a token is weighed.
    expected = torch.tensor([[p, 1, 1, p, 1], [1, p, 1, 1, p], [1, 1, p, 1, 1]])
    torch.testing.assert_close(torch.stack([step.weight_G for step in taken]), expected)


def test_token_choice_decides_at_the_entry_only():
    router, first_GR = token_choice(), torch.randn(5, 3)
    entry = router.choose(first_GR, GROUPS, [])
    assert torch.equal(router.choose(torch.randn(5, 3), GROUPS, [entry]).logit, first_GR)


def test_the_losses_of_token_choice_are_the_formulas():
    logit_GR = torch.tensor([[2.0, 0, 0], [2.0, 0, 0], [2.0, 0, 0], [2.0, 0, 0], [0, 2.0, 0]])
    router = token_choice()
    routing = router.summarize(steps_of(router, logit_GR), GROUPS)
    z = math.exp(2) + 2
    high, low = math.exp(2) / z, 1 / z
    # Shares 4/5, 1/5, 0 against mean probabilities.
    p_1, p_2 = (4 * high + low) / 5, (4 * low + high) / 5
    torch.testing.assert_close(routing.depth_share_R, torch.tensor([0.8, 0.2, 0.0]))
    torch.testing.assert_close(routing.balance_loss, torch.tensor(3 * (0.8 * p_1 + 0.2 * p_2)))
    torch.testing.assert_close(routing.z_loss, torch.tensor(math.log(z) ** 2))
    assert routing.selection_loss.item() == 0.0
    assert routing.agreement.item() == 1.0


def test_the_balance_loss_pushes_probability_to_depths_that_are_not_used():
    router = token_choice()
    logit_GR = torch.tensor([[1.0, 0, 0]] * 5, requires_grad=True)
    router.summarize(steps_of(router, logit_GR), GROUPS).balance_loss.backward()
    assert (logit_GR.grad[0].sign()).tolist() == [1.0, -1.0, -1.0]


def test_expert_choice_keeps_the_best_of_what_was_kept():
    router = expert_choice([1.0, -1.0]).train()
    x_GD = torch.tensor([[0.0], [1.0], [3.0], [2.0], [0.0]])
    taken = steps_of(router, x_GD)
    # Of five tokens four stay (user and environment are kept, then 3 and 2), then two: the kept.
    assert [step.is_active_G.int().tolist() for step in taken] == [
        [1, 1, 1, 1, 1],
        [1, 0, 1, 1, 1],
        [1, 0, 0, 0, 1],
    ]
    torch.testing.assert_close(taken[1].weight_G, torch.sigmoid(x_GD[:, 0]))


def test_every_user_has_its_own_capacity():
    groups = group_tokens(make_kinds("OOO", "OOO"))
    router = expert_choice([1.0, 1.0]).train()
    x_GD = torch.tensor([[5.0], [6.0], [7.0], [1.0], [3.0], [2.0]])
    taken = steps_of(router, x_GD, groups)
    assert taken[1].is_active_G.int().tolist() == [0, 1, 1, 0, 1, 1]
    assert taken[2].is_active_G.int().tolist() == [0, 0, 1, 0, 1, 0]


def test_serving_asks_the_auxiliary_router_token_by_token():
    router = expert_choice([1.0, 1.0], serving=(-1.0, 1.0)).eval()
    x_GD = torch.tensor([[9.0], [1.0], [-3.0], [-2.0], [9.0]])
    taken = steps_of(router, x_GD)
    assert taken[1].is_active_G.int().tolist() == [1, 0, 1, 1, 1]
    assert taken[2].is_active_G.int().tolist() == [1, 0, 0, 0, 1]
    assert router.summarize(taken, GROUPS).agreement.item() == 1.0


def test_the_auxiliary_router_is_judged_on_free_choices_only():
    router = expert_choice([1.0, -1.0], serving=(1.0, 1.0)).train()
    x_GD = torch.tensor([[0.0], [-1.0], [3.0], [2.0], [0.0]])
    routing = router.summarize(steps_of(router, x_GD), GROUPS)
    # Free are -1, 3, 2, all foreseen; then 3 and 2, both dropped and both guessed to stay.
    torch.testing.assert_close(routing.agreement, torch.tensor(0.6))
    torch.testing.assert_close(routing.depth_share_R, torch.tensor([0.2, 0.4, 0.4]))
    first = (math.log1p(math.exp(-1)) + math.log1p(math.exp(-3)) + math.log1p(math.exp(-2))) / 3
    second = (math.log1p(math.exp(3)) + math.log1p(math.exp(2))) / 2
    torch.testing.assert_close(routing.selection_loss, torch.tensor(first + second))


def test_the_selection_loss_touches_the_auxiliary_router_only():
    seed_global_torch(0, "routing")
    router = ExpertChoice(4, 3).train()
    x_GD = torch.randn(5, 4, requires_grad=True)
    router.summarize(steps_of(router, x_GD), GROUPS).selection_loss.backward()
    assert x_GD.grad is None
    assert router.score_RD.grad is None
    assert bool(router.serving_RD.grad.any())


def test_the_auxiliary_router_learns_to_foresee_the_selection():
    seed_global_torch(0, "routing")
    groups = group_tokens(make_kinds(*["UOOOOOOOOE"] * 8))
    router, x_GD = ExpertChoice(4, 2).train(), torch.randn(80, 4)
    optimizer = torch.optim.Adam([router.serving_RD, router.serving_bias_R], lr=0.1)
    found = []
    for _ in range(100):
        taken = steps_of(router, x_GD, groups, num_steps=2)
        routing = router.summarize(taken, groups)
        optimizer.zero_grad()
        routing.selection_loss.backward()
        optimizer.step()
        found.append(routing.agreement.item())
    # Untrained it drops all free tokens, of which three of eight stay.
    assert found[0] == 5 / 8
    assert found[-1] > 0.85
