import pytest
import torch

from gpr_core.objectives.advantages import (
    coarse_advantages,
    hepo_advantages,
    request_z_scores,
    returns_to_go,
)
from gpr_core.support.errors import ShapeError


def test_returns_include_the_terminal_reward():
    reward = torch.tensor([[1.0, 0.0, 8.0]])
    assert returns_to_go(reward, 1.0).tolist() == [[9.0, 8.0, 8.0]]
    assert returns_to_go(reward, 0.5).tolist() == [[3.0, 4.0, 8.0]]


def test_coarse_advantages_in_closed_form():
    reward, value = torch.tensor([[0.5, 0.25, 9.0]]), torch.tensor([[1.0, 2.0, 4.0]])
    # gamma 0.5: delta_1 = 0.5 + 0.5*2 - 1 = 0.5; delta_2 = 0.25 + 0.5*4 - 2 = 0.25.
    # lambda 0.4: A_1 = 0.5 + 0.5*0.4*0.25 = 0.55; the terminal 9 does not enter.
    found = coarse_advantages(reward, value, gamma=0.5, lam=0.4)
    torch.testing.assert_close(found, torch.tensor([[0.55, 0.25]]))


def test_with_lambda_one_the_sum_telescopes_to_the_bootstrap():
    reward, value = torch.tensor([[0.5, 0.25, 9.0]]), torch.tensor([[1.0, 2.0, 4.0]])
    # A_l = sum of rewards + V(last prefix) - V(own prefix).
    expected = torch.tensor([[0.75 + 4.0 - 1.0, 0.25 + 4.0 - 2.0]])
    torch.testing.assert_close(coarse_advantages(reward, value, 1.0, 1.0), expected)


def test_one_level_has_no_coarse_advantage():
    assert coarse_advantages(torch.ones(2, 1), torch.ones(2, 1), 1.0, 1.0).shape == (2, 0)


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match="give one value per level"):
        coarse_advantages(torch.ones(2, 3), torch.ones(2, 2), 1.0, 1.0)


def test_z_scores_use_the_population_deviation_of_the_request():
    reward, row = torch.tensor([1.0, 2.0, 3.0, 10.0, 30.0]), torch.tensor([0, 0, 0, 1, 1])
    root = 1.5**0.5
    expected = torch.tensor([-root, 0.0, root, -1.0, 1.0])
    torch.testing.assert_close(request_z_scores(reward, row, 0.0, 1.0), expected)


def test_constant_rewards_and_single_candidates_score_exactly_zero():
    reward = torch.tensor([0.1, 0.1, 0.1, 5.0])
    found = request_z_scores(reward, torch.tensor([0, 0, 0, 1]), 1e-6, 1.0)
    assert found.tolist() == [0.0, 0.0, 0.0, 0.0]


def test_no_candidate_gives_no_score():
    none = torch.zeros(0)
    assert request_z_scores(none, none.long(), 1e-6, 1.0).shape == (0,)


def test_smartphone_right_category_wrong_brand():
    """The paper's example: category liked, brand not, low reward, critic without opinion."""
    a_category, a_brand = 0.5, 0.25
    # Popularity of the chosen category 0.9 against a mean of 0.3; brand 0.0 against 0.5.
    reward = torch.tensor([[a_category * 0.6, 0.0, -2.0], [a_category * 0.6, a_brand * 0.5, 2.0]])
    value = torch.full((2, 3), 0.7)
    found = hepo_advantages(reward, value, torch.tensor([0, 0]), gamma=1.0, lam=0.95, eps=1e-6)
    category, brand, item = found[0].tolist()
    assert category > 0
    assert brand <= category
    assert brand == 0.0
    assert item == pytest.approx(-1.0, abs=1e-5)


def test_coarse_levels_are_scaled_to_unit_spread_without_centering():
    reward = torch.tensor([[1.0, 0.0], [3.0, 0.0]])
    found = hepo_advantages(
        reward, torch.zeros(2, 2), torch.tensor([0, 1]), gamma=1.0, lam=1.0, eps=1e-6
    )
    # Population deviation of (1, 3) is 1.
    assert found[:, 0].tolist() == [1.0, 3.0]


def test_spread_is_floored():
    reward = torch.tensor([[1e-5, 0.0], [-1e-5, 0.0]])
    found = hepo_advantages(
        reward, torch.zeros(2, 2), torch.tensor([0, 1]), gamma=1.0, lam=1.0, eps=1e-6
    )
    torch.testing.assert_close(found[:, 0], torch.tensor([0.01, -0.01]))


def test_advantages_carry_no_gradient():
    value = torch.zeros(2, 2, requires_grad=True)
    found = hepo_advantages(
        torch.rand(2, 2, requires_grad=True), value, torch.tensor([0, 0]), gamma=1.0, lam=1.0,
        eps=1e-6,
    )  # fmt: skip
    assert not found.requires_grad
