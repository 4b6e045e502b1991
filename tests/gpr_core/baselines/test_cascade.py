import numpy as np
import pytest

from gpr_core.baselines.cascade import (
    CascadeConfig,
    prerank,
    retrieve,
    run_auction,
    second_price_micros,
    winning_weights,
)
from gpr_core.support.errors import ConfigError, ShapeError

CANDIDATES = np.array([4, 0, 2])
ECPM = np.array([30.0, 20.0, 10.0])
WEIGHTS = np.array([1.0, 0.5, 0.5])
ELIGIBLE = np.array([True, True, True, True, True, False])


def propensities(eligible, rate):
    """Enumerate the exact distribution by running the auction over a fine grid of draws."""
    counts = np.zeros(len(eligible))
    reported = np.zeros(len(eligible))
    grid = (np.arange(200) + 0.5) / 200
    for branch in grid:
        for pick in grid:
            choice = run_auction(CANDIDATES, ECPM, WEIGHTS, eligible, (branch, pick), rate)
            counts[choice.ad_idx] += 1
            reported[choice.ad_idx] = choice.propensity
    return counts / counts.sum(), reported


def test_retrieval_keeps_the_best_eligible_ads():
    scores = np.array([[1.0, 5.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    eligible = np.array([[True, True, True, False], [False, True, False, False]])
    kept = retrieve(scores, eligible, 2)
    assert kept.tolist() == [[1, 2], [1, -1]]


def test_retrieval_settles_equal_scores_by_index():
    assert retrieve(np.zeros((1, 6)), np.ones((1, 6), bool), 3).tolist() == [[0, 1, 2]]


def test_retrieval_may_keep_everything():
    assert retrieve(np.array([[1.0, 2.0]]), np.ones((1, 2), bool), 9).tolist() == [[1, 0]]


def test_retrieval_refuses_matrices_of_different_shape():
    with pytest.raises(ShapeError, match="eligible_BA has shape"):
        retrieve(np.zeros((1, 3)), np.ones((1, 2), bool), 1)


def test_preranking_puts_empty_places_last():
    kept = prerank(np.array([[7, -1, 9]]), np.array([[0.1, 9.0, 0.2]]), 2)
    assert kept.tolist() == [[2, 0]]


def test_preranking_refuses_matrices_of_different_shape():
    with pytest.raises(ShapeError, match="score_BN has shape"):
        prerank(np.zeros((1, 3), int), np.zeros((1, 2)), 1)


def test_odds_are_a_power_of_ecpm():
    odds = winning_weights(np.array([[20.0, 10.0, 5.0]]), np.array([[3, 4, -1]]), 2.0)
    np.testing.assert_allclose(odds, [[1.0, 0.25, 0.0]])


def test_odds_of_an_empty_row_are_zero():
    assert winning_weights(np.ones((1, 2)), np.array([[-1, -1]]), 2.0).tolist() == [[0, 0]]


def test_without_any_ads_nothing_is_retrieved_or_weighed():
    pool = retrieve(np.zeros((2, 0)), np.zeros((2, 0), bool), 5)
    assert pool.shape == (2, 0)
    assert winning_weights(np.zeros((2, 0)), pool, 2.0).shape == (2, 0)


def test_the_logged_propensity_is_the_probability_of_the_ad():
    observed, reported = propensities(ELIGIBLE, 0.1)
    # Five eligible ads share 0.1; the candidates share 0.9 by 2 : 1 : 1.
    expected = np.array([0.02 + 0.225, 0.02, 0.02 + 0.225, 0.02, 0.02 + 0.45, 0.0])
    np.testing.assert_allclose(reported, expected)
    np.testing.assert_allclose(observed, expected, atol=0.005)


def test_a_candidate_that_just_lost_eligibility_cannot_win():
    eligible = ELIGIBLE.copy()
    eligible[4] = False
    observed, reported = propensities(eligible, 0.1)
    expected = np.array([0.025 + 0.45, 0.025, 0.025 + 0.45, 0.025, 0.0, 0.0])
    np.testing.assert_allclose(reported, expected)
    np.testing.assert_allclose(observed, expected, atol=0.005)


def test_without_eligible_candidates_everything_is_exploration():
    eligible = np.array([False, True, False, True, False, False])
    choice = run_auction(CANDIDATES, ECPM, WEIGHTS, eligible, (0.99, 0.6), 0.1)
    assert choice == (3, -1, 0.5, 0.0, 2)


def test_without_eligible_ads_nothing_is_shown():
    choice = run_auction(CANDIDATES, ECPM, WEIGHTS, np.zeros(6, bool), (0.5, 0.5), 0.1)
    assert choice == (-1, -1, 0.0, 0.0, 0)


def test_the_winner_pays_the_next_best_eligible_candidate():
    choice = run_auction(CANDIDATES, ECPM, WEIGHTS, ELIGIBLE, (0.5, 0.1), 0.1)
    assert (choice.ad_idx, choice.runner_up_ecpm) == (4, 20.0)
    without = ELIGIBLE.copy()
    without[0] = False
    choice = run_auction(CANDIDATES, ECPM, WEIGHTS, without, (0.5, 0.1), 0.1)
    assert (choice.ad_idx, choice.runner_up_ecpm) == (4, 10.0)


def test_the_last_candidate_has_no_runner_up():
    choice = run_auction(CANDIDATES, ECPM, WEIGHTS, ELIGIBLE, (0.5, 0.9), 0.1)
    assert (choice.ad_idx, choice.runner_up_ecpm) == (2, 0.0)


def test_prices_are_second_prices_within_reserve_and_own_bid():
    assert second_price_micros(30.0, 12.5, 1.0) == 12_500
    assert second_price_micros(30.0, 0.0, 1.0) == 1_000
    assert second_price_micros(0.5, 0.0, 1.0) == 500
    assert second_price_micros(1e-9, 0.0, 1.0) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"num_preranked": 300}, "num_preranked is 300"),
        ({"exploration_rate": 0.0}, "exploration_rate is 0.0"),
        ({"sharpness": -1.0}, "sharpness is -1.0"),
        ({"reserve_ecpm": -1.0}, "reserve_ecpm is -1.0"),
    ],
)
def test_wrong_settings_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        CascadeConfig(**values)
