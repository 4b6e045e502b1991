"""Tests of the feed-forward networks of the token-wise decoder."""

import dataclasses

import torch
import torch.nn.functional as F

from gpr_core.models.config import ExpertsConfig
from gpr_core.models.feed_forward import Experts, FeedForward
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SMALL


def make(count=5, per_token=2, balance_rate=0.01):
    """Make a mixture of experts in evaluation mode, and rows."""
    seed_global_torch(0, "experts")
    experts = ExpertsConfig(count=count, per_token=per_token, balance_rate=balance_rate)
    mixture = Experts(dataclasses.replace(SMALL, experts=experts)).eval()
    return mixture, torch.randn(7, 3, SMALL.width)


def test_a_network_transforms_every_position_alone():
    seed_global_torch(0, "feed forward")
    network, x = FeedForward(8, 2), torch.randn(3, 2, 8)
    torch.testing.assert_close(network(x)[1, 1], network(x[1, 1]))
    assert network.inner.weight.shape == (32, 8)


def test_each_position_is_the_weighted_sum_of_its_two_best_experts():
    mixture, x = make()
    row_D = x[2, 1]
    score_E = torch.sigmoid(mixture.router(row_D))
    expected_D = 0.0
    best = torch.topk(score_E, 2).indices
    for expert in best.tolist():
        gate, inner = (row_D @ mixture.inner_EDX[expert]).chunk(2)
        out_D = (F.silu(gate) * inner) @ mixture.outer_EXD[expert]
        expected_D = expected_D + score_E[expert] / score_E[best].sum() * out_D
    torch.testing.assert_close(mixture(x)[2, 1], expected_D)


def test_a_position_does_not_depend_on_its_neighbours():
    mixture, x = make()
    torch.testing.assert_close(mixture(x[4:5]), mixture(x)[4:5])


def test_gradients_reach_router_and_experts():
    mixture, x = make()
    mixture(x).square().sum().backward()
    for parameter in mixture.parameters():
        assert parameter.grad.abs().sum() > 0


def loads(mixture, x):
    """Share of positions that each expert serves."""
    score_NE = torch.sigmoid(mixture.router(x.flatten(0, 1))) + mixture.preference_E
    return (
        torch.bincount(torch.topk(score_NE, 2).indices.flatten(), minlength=5) / x[..., 0].numel()
    )


def test_training_balances_the_load_and_evaluation_leaves_it_alone():
    mixture, _ = make()
    x = torch.randn(200, 3, SMALL.width) + 1.0
    spread = loads(mixture, x).std()
    mixture(x)
    assert not mixture.preference_E.any()
    mixture.train()
    for _ in range(200):
        mixture(x)
    assert loads(mixture, x).std() < 0.3 * spread
