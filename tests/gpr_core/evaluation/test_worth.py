from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gpr_core.catalog.shown_counts import ShownCounts
from gpr_core.evaluation.worth import PairWorth, simulated_worth, true_worth, wanted_pairs

NAN = float("nan")


def test_wanted_pairs_are_distinct_and_sorted():
    lists = [np.array([[2, -1], [0, 1]]), np.array([[2, 0], [-1, 1]])]
    assert wanted_pairs(lists, 10).tolist() == [0, 2, 10, 11]
    assert wanted_pairs([], 10).tolist() == []


def test_worth_is_looked_up_and_padding_has_none():
    pairs = PairWorth(
        pair_M=np.array([0, 2, 11]),
        num_ads=10,
        ecpm_M=np.array([1.0, 2.0, 3.0]),
        final_value_M=np.array([-1.0, -2.0, -3.0]),
    )
    found = pairs.of(np.array([[2, 0], [1, -1]]))
    assert found.ecpm.tolist() == [[2.0, 1.0], [3.0, 0.0]]
    expected = [[-2.0, -1.0], [-3.0, NAN]]
    assert found.final_value.tolist() == [pytest.approx(row, nan_ok=True) for row in expected]


def test_simulated_worth_is_what_the_simulator_says(mini_day):
    day = mini_day.prepare(max_requests=5)
    pairs = wanted_pairs([np.array([[3, 1], [0, -1], [2, 4], [5, -1], [1, 0]])], 32)
    found = simulated_worth(day, pairs)
    rewards = day.simulator.reward(np.array([2, 3]), np.array([4, 5]))
    worth = found.of(np.array([[-1], [-1], [4], [5], [-1]]))
    assert worth.ecpm[2:4, 0].tolist() == rewards.ecpm_M.tolist()
    assert worth.final_value[2:4, 0].tolist() == rewards.final_value_M.tolist()


def test_true_worth_uses_true_probabilities_bids_and_fatigue(mini_day):
    day = mini_day.prepare(max_requests=5)
    num_requests, num_ads = day.eligible_BA.shape
    row, rank = (part.ravel() for part in np.indices((num_requests, num_ads)))
    day = replace(day, shown=ShownCounts(row, rank, np.full(row.size, 4)))
    # Every ad is clicked with 0.1, converts with 0.5 and is hidden with 0.
    probabilities = SimpleNamespace(
        outcome_probabilities=lambda requests, ads: tuple(
            np.full(ads.shape, value) for value in (0.1, 0.5, 0.0)
        )
    )
    rank_BK = np.tile(np.arange(3), (num_requests, 1))
    found = true_worth(day, probabilities, wanted_pairs([rank_BK], num_ads), candidates=2)
    # Bids are per click: eCPM = 1000 * 0.1 * bid. Value adds (20 * 0.1 + 20 * 0.5 - 5 * 0.4) / 4.
    bid_A = 0.1 * (day.catalog.catalog.ads.ad_key_A % 7 + 1)
    worth = found.pairs.of(rank_BK)
    assert worth.ecpm[0].tolist() == pytest.approx((100 * bid_A[:3]).tolist())
    assert worth.final_value[0].tolist() == pytest.approx((100 * bid_A[:3] + 2.5).tolist())
    assert found.uniform_mean_B.tolist() == pytest.approx([100 * bid_A.mean() + 2.5] * num_requests)
    best = np.sort(bid_A)[-2:].mean() * 100 + 2.5
    assert found.best_mean_B.tolist() == pytest.approx([best] * num_requests)


def test_requests_without_eligible_ads_have_no_reference(mini_day):
    day = mini_day.prepare(max_requests=3)
    day = replace(day, eligible_BA=np.zeros_like(day.eligible_BA))
    oracle = SimpleNamespace(outcome_probabilities=lambda requests, ads: (np.zeros(ads.shape),) * 3)
    found = true_worth(day, oracle, np.empty(0, dtype=np.int64), candidates=2)
    assert np.isnan(found.uniform_mean_B).all()
    assert np.isnan(found.best_mean_B).all()
