"""Tests of the closed-form head weights."""

import math

import pytest
import torch

from gpr_core.objectives.head_weights import head_weights, update_average
from gpr_core.support.errors import ConfigError, ShapeError

NAN = float("nan")


def test_weights_follow_the_closed_form():
    # softmax(-(0, ln 3)) = (3/4, 1/4); half of it plus half of the uniform (1/2, 1/2).
    found = head_weights(torch.tensor([0.0, math.log(3)]))
    torch.testing.assert_close(found, torch.tensor([0.625, 0.375]))


def test_the_closed_form_minimizes_loss_plus_divergence():
    nll_J = torch.tensor([2.0, 2.4, 2.7, 3.0])

    def objective(weights_J):
        return (weights_J * nll_J).sum() + (weights_J * (weights_J * 4).log()).sum()

    best = objective(head_weights(nll_J, adaptive_share=1.0))
    for start in torch.rand(20, 4, generator=torch.Generator().manual_seed(0)) + 0.01:
        assert float(objective(start / start.sum())) >= float(best) - 1e-6


def test_the_floor_holds_and_the_sum_is_one():
    found = head_weights(torch.tensor([0.0, 50.0, 60.0, 70.0]))
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))
    torch.testing.assert_close(found, torch.tensor([0.625, 0.125, 0.125, 0.125]))


def test_a_head_without_targets_counts_like_the_hardest():
    found = head_weights(torch.tensor([1.0, 3.0, NAN]))
    assert found[1] == found[2]
    assert head_weights(torch.tensor([NAN, NAN])).tolist() == [0.5, 0.5]


def test_no_adaptive_share_is_uniform():
    assert head_weights(torch.tensor([1.0, 9.0]), adaptive_share=0.0).tolist() == [0.5, 0.5]


def test_the_average_starts_at_the_first_value_and_skips_absent_heads():
    average_J = torch.tensor([NAN, 4.0, NAN])
    nll_J, count_J = torch.tensor([2.0, 2.0, 0.0]), torch.tensor([3, 1, 0])
    found = update_average(average_J, nll_J, count_J, decay=0.75)
    assert found[:2].tolist() == [2.0, 3.5]
    assert bool(found[2].isnan())


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="adaptive_share is 2"):
        head_weights(torch.zeros(2), adaptive_share=2.0)
    with pytest.raises(ConfigError, match="decay is -1"):
        update_average(torch.zeros(1), torch.zeros(1), torch.ones(1), decay=-1.0)
    with pytest.raises(ShapeError, match="count_J has shape"):
        update_average(torch.zeros(2), torch.zeros(2), torch.ones(3), decay=0.5)
