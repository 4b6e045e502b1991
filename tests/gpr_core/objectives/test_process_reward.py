import numpy as np
import pytest
import torch

from gpr_core.objectives.process_reward import (
    conditional_popularity,
    count_successes,
    preference_delta,
    process_rewards,
    sort_successes,
)
from gpr_core.support.errors import LegalityError, ShapeError


def make_successes():
    """Users 7 and 5 on a tree with nodes 1, 2 below the root and 3 below 1."""
    return sort_successes(
        np.array([7, 5, 7, 7]),
        np.array([30, 10, 10, 20]),
        np.array([[1, 3], [2, -1], [1, 3], [2, -1]]),
    )


def test_successes_known_before_the_request_are_counted():
    found = count_successes(make_successes(), np.array([7, 7, 5, 6]), np.array([30, 31, 10, 99]), 4)
    # Time 30 sees user 7's successes of 10 and 20; the one of time 30 is not yet known.
    assert found.tolist() == [[2, 1, 1, 1], [3, 2, 1, 2], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_no_success_at_all_counts_zero():
    nothing = sort_successes(*(np.zeros(0, np.int64),) * 2, np.zeros((0, 2), np.int64))
    assert count_successes(nothing, np.array([7]), np.array([9]), 3).tolist() == [[0, 0, 0]]


def test_rows_of_different_length_are_refused():
    with pytest.raises(ShapeError, match="found 1 users, 2 times and 1 paths"):
        sort_successes(np.zeros(1, np.int64), np.zeros(2, np.int64), np.zeros((1, 2), np.int64))


def test_popularity_is_conditional_on_the_prefix():
    found = conditional_popularity(torch.tensor([[3, 1, 0], [0, 0, 0]]), torch.tensor([4, 0]))
    assert found.tolist() == [[0.75, 0.25, 0.0], [0.0, 0.0, 0.0]]


def test_delta_compares_with_the_mean_of_legal_codes():
    popularity = torch.tensor([[0.75, 0.25, 0.0]] * 3)
    legal = torch.tensor([[True, True, True], [True, False, True], [False, True, False]])
    found = preference_delta(popularity, legal, torch.tensor([0, 2, 1]))
    # 0.75 - 1/3; 0 - 0.375; one legal code gives exactly 0.
    torch.testing.assert_close(found, torch.tensor([0.75 - 1 / 3, -0.375, 0.0]).double())
    assert found[2].item() == 0.0


def test_equal_popularity_gives_exactly_zero():
    popularity, legal = torch.full((1, 3), 0.1), torch.ones(1, 3, dtype=torch.bool)
    assert abs(preference_delta(popularity, legal, torch.tensor([1])).item()) < 1e-16


def test_illegal_choice_is_refused():
    with pytest.raises(LegalityError, match="code 1 was chosen but is not legal"):
        preference_delta(torch.zeros(1, 2), torch.tensor([[True, False]]), torch.tensor([1]))


def test_rewards_are_clipped_preferences_and_the_terminal_value():
    delta = torch.tensor([[0.5, -0.25], [-1.0, 1.0]])
    found = process_rewards(delta, torch.tensor([-2.0, 3.0]), torch.tensor([0.5, 0.25]))
    assert found.tolist() == [[0.25, 0.0, -2.0], [0.0, 0.25, 3.0]]
