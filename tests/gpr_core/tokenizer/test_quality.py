"""Codebook measures on six items worked out by hand."""

import math

import numpy as np
import pytest

from gpr_core.support.errors import ConfigError, ShapeError
from gpr_core.tokenizer.quality import (
    business_collision,
    code_gini,
    code_usage,
    codebook_quality,
    collision_gain,
    collision_rate,
    path_ids,
    path_similarity,
    same_label_pair_share,
    v_measure,
)

# Path (0, 0) holds two orthogonal items, (0, 1) two parallel ones and one orthogonal to them,
# (2, 0) one item.
X = np.array([[1, 0], [0, 2], [1, 0], [3, 0], [0, 1], [5, 5]], np.float32)
CODES = np.array([[0, 0], [0, 0], [0, 1], [0, 1], [0, 1], [2, 0]], np.int16)
CATEGORY = np.array([1, 1, 1, 2, 2, 3])


def measure(x=X, codes=CODES, rebuilt=None):
    rebuilt = x + np.array([0, 3], np.float32) * (np.arange(len(x)) == 0)[:, None]
    return codebook_quality(x, codes, rebuilt, codebook_sizes=(3, 2), labels={"cat": CATEGORY})


def test_six_items():
    found = measure()
    assert (found.num_items, found.num_paths) == (6, 3)
    assert found.collision == 5 / 6
    assert found.excess == 0.5
    assert found.usage == (2 / 3, 1.0)
    assert found.dead_codes == (1, 0)
    # Items per code, ascending: 0, 1, 5 with weights -2, 0, 2 over 3 codes and 6 items; then 3, 3.
    assert found.gini == (10 / 18, 0.0)
    entropy = -(5 / 6 * math.log(5 / 6) + 1 / 6 * math.log(1 / 6))
    assert found.perplexity == pytest.approx((math.exp(entropy) / 3, 1.0))
    # Mean cosines 0 and (1 + 0 + 0) / 3, over one pair and three pairs.
    assert found.pas_macro == pytest.approx(1 / 6)
    assert found.pas_pair == pytest.approx(1 / 4)
    assert found.reconstruction_mse == 9 / 6
    # Colliding pairs of one category: the first path's and one of the second path's three.
    assert found.same_label_pair_share == {"cat": 2 / 4}
    assert len(found.v_measure["cat"]) == 2
    assert found.to_json()["num_items"] == 6


def test_without_collision_the_similarity_is_undefined():
    rows = [0, 2, 5]
    found = codebook_quality(
        X[rows], CODES[rows], X[rows], codebook_sizes=(3, 2), labels={"cat": CATEGORY[rows]}
    )
    assert (found.pas_macro, found.pas_pair) == (None, None)
    assert found.same_label_pair_share == {"cat": None}
    assert (found.collision, found.excess) == (0.0, 0.0)


def test_the_similarity_does_not_depend_on_length():
    assert path_similarity(X * 7, path_ids(CODES)) == pytest.approx((1 / 6, 1 / 4))


def test_equal_items_have_similarity_one():
    assert path_similarity(np.ones((4, 3), np.float32), np.zeros(4, np.int64)) == pytest.approx(
        (1, 1)
    )


def test_paths_are_numbered_in_lexicographic_order():
    codes = np.array([[30000, 1, 30000], [2, 30000, 5], [30000, 1, 30000], [2, 1, 9]])
    assert path_ids(codes).tolist() == [2, 1, 2, 0]
    assert path_ids(np.zeros((0, 3), np.int16)).tolist() == []


def test_collision_of_nothing_is_zero():
    assert collision_rate(np.zeros(0, np.int64)) == 0.0


def test_usage_counts_distinct_codes():
    assert code_usage(np.array([3, 3, 1]), 4) == 0.5


@pytest.mark.parametrize(
    ("codes", "size", "expected"),
    [([0, 1, 2, 3], 4, 0.0), ([2, 2, 2, 2], 4, 1 - 1 / 4), ([0, 0, 0, 1], 2, 1 / 4), ([0], 1, 0.0)],
)
def test_gini_is_zero_for_even_use_and_largest_for_a_single_code(codes, size, expected):
    assert code_gini(np.array(codes), size) == expected


@pytest.mark.parametrize(
    ("clusters", "expected"),
    [
        ([5, 5, 7, 7], 1.0),
        ([0, 1, 0, 1], 0.0),
        ([0, 0, 0, 0], 0.0),
        # H(label) = ln 2, H(cluster) = .5623, joint = 1.0397: shared .2158.
        ([0, 0, 0, 1], 2 * 0.3113 * 0.3837 / (0.3113 + 0.3837)),
    ],
)
def test_v_measure(clusters, expected):
    found = v_measure(np.array([0, 0, 1, 1]), np.array(clusters))
    assert found == pytest.approx(expected, abs=1e-4)


def test_v_measure_of_one_class_is_complete_only():
    assert v_measure(np.zeros(4, np.int64), np.zeros(4, np.int64)) == 1.0
    assert v_measure(np.zeros(4, np.int64), np.array([0, 0, 1, 1])) == 0.0


def test_same_label_pairs_are_counted_per_path():
    assert same_label_pair_share(np.array([0, 0, 0, 1]), np.array([4, 4, 5, 4])) == 1 / 3


def test_business_collision_counts_ads_that_meet_another_kind():
    # Path 0 mixes two kinds (3 ads), path 1 has one kind (2 ads), path 2 has a single ad.
    paths = np.array([0, 0, 0, 1, 1, 2])
    assert business_collision(paths, np.array([8, 8, 9, 8, 8, 7])) == 3 / 5
    assert business_collision(np.array([0, 1]), np.array([1, 2])) is None


def test_collision_is_compared_at_equal_n_only():
    assert collision_gain(measure(), measure()) == 0
    rows = [0, 2, 5]
    fewer = codebook_quality(X[rows], CODES[rows], X[rows], codebook_sizes=(3, 2), labels={})
    with pytest.raises(ConfigError, match="collision of 6 items compared with collision of 3"):
        collision_gain(measure(), fewer)


def test_bad_input_is_refused():
    with pytest.raises(ConfigError, match="no items to measure"):
        codebook_quality(X[:0], CODES[:0], X[:0], codebook_sizes=(3, 2), labels={})
    with pytest.raises(ShapeError, match="code_ML has shape"):
        codebook_quality(X, CODES, X, codebook_sizes=(3,), labels={})
    with pytest.raises(ShapeError, match="rebuilt_MD has shape"):
        codebook_quality(X, CODES, X[:3], codebook_sizes=(3, 2), labels={})
