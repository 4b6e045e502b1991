from types import SimpleNamespace

import numpy as np
import pytest

from gpr_core.catalog.trie import Trie
from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.intervals import UserBootstrap
from gpr_core.evaluation.measures import (
    count_illegal_ads,
    retrieval_columns,
    summarize,
    truth_columns,
    value_columns,
)
from gpr_core.evaluation.policies import Proposals
from gpr_core.evaluation.ranked_ads import RankedAds
from gpr_core.evaluation.worth import PairWorth, TruthOfDay

NAN = float("nan")
CONFIG = EvaluationConfig(hit_rate_ks=(1, 2), headline_k=1, value_candidates=2, resamples=100)
POOL = np.array([[0, 1, 2], [2, 1, -1]])


def make_offer(rank_BK, pool_score_BP):
    rank_BK = np.array(rank_BK)
    lists = RankedAds(rank_BK, np.zeros(rank_BK.shape))
    return Proposals(retrieval=lists, auction=lists, pool_score_BP=np.array(pool_score_BP))


PROPOSALS = {
    "hepo": make_offer([[0, 1], [2, -1]], [[3.0, 2.0, 1.0], [1.0, 2.0, -np.inf]]),
    "popularity": make_offer([[2, 1], [1, 2]], [[1.0, 2.0, 3.0], [2.0, 1.0, -np.inf]]),
}


def make_worth(values):
    """Worth of ads 0, 1, 2 at two requests; eCPM and final value are the same."""
    flat = np.array(values, dtype=np.float64).ravel()
    return PairWorth(pair_M=np.arange(6), num_ads=3, ecpm_M=flat, final_value_M=flat)


SIMULATED = make_worth([[10.0, 0.0, 5.0], [0.0, 2.0, 4.0]])


def close(values):
    return pytest.approx(values, nan_ok=True)


def test_hit_rates_count_new_ads_apart():
    trie = Trie.build(np.array([[0], [0], [1]], np.int16), np.array([1, 2, 3], np.uint64))
    catalog = SimpleNamespace(catalog=SimpleNamespace(trie=trie))
    day = SimpleNamespace(
        catalog=catalog, truth_B=np.array([1, 2]), is_new_B=np.array([False, True])
    )
    columns = retrieval_columns(day, PROPOSALS, CONFIG)
    assert columns["hepo/HR_ad@1"].tolist() == [0.0, 1.0]
    assert columns["hepo/HR_ad@2"].tolist() == [1.0, 1.0]
    assert columns["hepo/HR_path@1"].tolist() == [1.0, 1.0]
    assert columns["hepo/no_repeat_HR_ad@1"].tolist() == close([NAN, 1.0])
    assert columns["popularity/HR_ad@2"].tolist() == [1.0, 1.0]


def test_values_of_all_methods_share_one_range():
    columns, scales = value_columns(PROPOSALS, POOL, SIMULATED, CONFIG)
    # hepo: (10, 0), (4); popularity: (5, 0), (2, 4): range 0 to 10.
    assert scales[:2] == (0.0, 10.0)
    assert columns["hepo/final_value_mean"].tolist() == close([0.5, 0.4])
    assert columns["hepo/final_value_max"].tolist() == close([1.0, 0.4])
    assert columns["hepo/final_value_mean_raw"].tolist() == close([5.0, 4.0])
    assert columns["hepo/coverage"].tolist() == [1.0, 0.5]
    assert columns["popularity/final_value_mean"].tolist() == close([0.25, 0.3])


def test_pool_metrics_use_the_gains_of_the_pool():
    columns, _ = value_columns(PROPOSALS, POOL, SIMULATED, CONFIG)
    # Request 0: gains 10, 0, 5 and hepo's order 0, 1, 2; request 1: gains 4, 2, order reversed.
    d2, d3 = 1 / np.log2(3), 0.5
    expected = [(10 + 5 * d3) / (10 + 5 * d2), (2 + 4 * d2) / (4 + 2 * d2)]
    assert columns["hepo/ndcg"].tolist() == close(expected)
    assert columns["hepo/opr"].tolist() == close([2 / 3, 0.0])
    assert columns["popularity/opr"].tolist() == close([1 / 3, 1.0])


def test_truth_gives_gap_fidelity_and_efficiency():
    true = make_worth([[6.0, 2.0, 4.0], [1.0, 3.0, 2.0]])
    truth = TruthOfDay(true, np.array([4.0, 2.0]), np.array([6.0, 3.0]))
    columns = truth_columns(PROPOSALS, POOL, SIMULATED, truth, CONFIG)
    assert columns["hepo/true_value_mean"].tolist() == close([4.0, 2.0])
    # Simulated means are 5 and 4.
    assert columns["hepo/value_gap"].tolist() == close([1.0, 2.0])
    # Request 0 orders alike; request 1 compares (4, 2) with (2, 3).
    assert columns["truth/fidelity"].tolist() == close([1.0, -1.0])
    values = summarize(columns, UserBootstrap(np.array([1, 2]), seed=0, resamples=100))
    # Means: hepo 3, uniform 3, best 4.5; popularity (4 + 2) / 2 and (3 + 2) / 2, mean 2.75.
    assert values["hepo/oracle_efficiency"].value == pytest.approx(0.0)
    assert values["popularity/oracle_efficiency"].value == pytest.approx((2.75 - 3) / 1.5)


def test_metrics_that_no_request_counts_for_are_left_out():
    bootstrap = UserBootstrap(np.array([1, 2]), seed=0, resamples=100)
    columns = {"a/x": np.array([1.0, 3.0]), "a/y": np.array([NAN, NAN])}
    values = summarize(columns, bootstrap)
    assert list(values) == ["a/x"]
    assert (values["a/x"].value, values["a/x"].n) == (2.0, 2)


def test_illegal_ads_of_both_lists_are_counted(monkeypatch):
    monkeypatch.setattr(
        "gpr_core.evaluation.measures.illegal_by_rules", lambda day, row, rank: rank == 2
    )
    # hepo holds ad 2 once in each of its two lists, popularity twice in each.
    assert count_illegal_ads(None, PROPOSALS) == {"hepo": 2, "popularity": 4}
