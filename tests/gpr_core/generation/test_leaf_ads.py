import numpy as np
import torch

from gpr_core.catalog.shown_counts import ShownCounts
from gpr_core.generation.beam import Beams
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.leaf_ads import (
    AdValues,
    eligible_ads_below,
    emit,
    predict_values,
    standardized_leaf_values,
    unite_heads,
)
from tests.conformance.generator import TabularPolicy, make_catalog, make_requests

PATHS = [[0, 0], [0, 0], [0, 1], [1, 0]]


def make_beams(rows, heads, nodes, logps, draws=None):
    count = len(rows)
    return Beams(
        row_M=np.array(rows),
        head_M=np.array(heads),
        node_M=np.array(nodes),
        code_MP=np.zeros((count, 2), dtype=np.int64),
        logp_MP=np.array([[logp, 0.0] for logp in logps], dtype=np.float32),
        legal_count_MP=np.ones((count, 2), dtype=np.int64),
        draw_M=np.array(draws or [0.0] * count),
        value_M=np.zeros(count),
    )


def leaf_of(trie, rank):
    return int(trie.leaf_of(torch.tensor([rank])))


def test_pairs_below_overlapping_nodes_are_listed_once():
    trie, _ = make_catalog(PATHS)
    eligible = make_requests([[1, 0, 1, 1], [1, 1, 1, 1]]).eligible
    row, rank = eligible_ads_below(trie, eligible, np.array([1, 0, 1]), np.array([2, 1, 2]))
    assert row.tolist() == [0, 0, 1]
    assert rank.tolist() == [0, 2, 3]


def test_fatigue_lowers_the_predicted_value():
    trie, ad_table = make_catalog([[0]])
    policy = TabularPolicy((1,))
    requests = make_requests([[1]])
    pairs = (np.array([0]), np.array([0]))
    fresh = predict_values(policy, policy.read([100]), requests, ad_table, trie, pairs)
    tired = predict_values(
        policy,
        policy.read([100]),
        requests._replace(shown=ShownCounts.of_impressions(*np.zeros((2, 4), dtype=np.int64))),
        ad_table,
        trie,
        pairs,
    )
    # Four impressions: -5 * 0.4 / 4.
    difference = float((tired.final_value_M - fresh.final_value_M)[0])
    assert abs(difference + 0.5) < 1e-9


def test_leaf_is_worth_its_best_ad():
    trie, _ = make_catalog(PATHS)
    values = AdValues(np.array([0, 0, 0]), np.array([0, 1, 3]), np.array([2.0, 10.0, -2.0]))
    leaf = np.array([leaf_of(trie, 0), leaf_of(trie, 3)])
    found = standardized_leaf_values(values, TabularPolicy((2, 2)), trie, np.array([0, 0]), leaf)
    # Mean 2 and standard deviation 4.
    assert found.tolist() == [2.0, -1.0]


def test_path_keeps_the_head_with_the_larger_weighted_probability():
    trie, _ = make_catalog(PATHS)
    leaf = leaf_of(trie, 3)
    beams = make_beams([0, 0], [0, 1], [leaf, leaf], [-1.0, -0.5])
    paths, score = unite_heads(beams, np.array([0.5, 0.5]), trie, by_draw=False)
    assert paths.head_M.tolist() == [1]
    # log 0.5 - 0.5
    np.testing.assert_allclose(score, [-1.193147181])


def test_sampled_path_keeps_the_head_that_drew_it():
    trie, _ = make_catalog(PATHS)
    leaf = leaf_of(trie, 3)
    beams = make_beams([0, 0], [0, 1], [leaf, leaf], [-1.0, -0.5], draws=[3.0, 2.0])
    paths, _ = unite_heads(beams, np.array([0.5, 0.5]), trie, by_draw=True)
    assert paths.head_M.tolist() == [0]


def test_emit_takes_the_best_ads_of_surviving_leaves_only():
    trie, ad_table = make_catalog(PATHS)
    paths = make_beams([0], [0], [leaf_of(trie, 0)], [-1.0])
    values = AdValues(np.array([0, 0, 0]), np.array([0, 1, 3]), np.array([2.0, 10.0, 99.0]))
    score = np.array([-1.0])
    one = emit(paths, score, values, trie, ad_table, BeamConfig(leaf_ads=1))
    two = emit(paths, score, values, trie, ad_table, BeamConfig(leaf_ads=2))
    assert one.rank_M.tolist() == [1]
    assert two.rank_M.tolist() == [1, 0]
    assert two.position_M.tolist() == [0, 1]
