import numpy as np
import pytest

from gpr_core.data.near_duplicates import (
    cluster_pairs,
    equal_pairs,
    max_cosine_across,
    similar_pairs,
)
from gpr_core.support.errors import ShapeError
from gpr_core.support.seeding import numpy_stream

# Directions at 0, 10, 20 and 90 degrees: neighbors have cosine 0.985, ends of the chain 0.940.
ANGLES = np.deg2rad([0, 10, 20, 90])
X = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)


def test_pairs_reach_the_threshold_and_no_other_does():
    assert similar_pairs(X, 0.97).tolist() == [[0, 1], [1, 2]]
    assert similar_pairs(X, 0.93).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert similar_pairs(X, 0.99).tolist() == []


def test_pairs_are_found_across_blocks_of_rows():
    draw = numpy_stream(3, "test")
    x_ND = draw.normal(size=(4500, 3)).astype(np.float32)
    x_ND /= np.linalg.norm(x_ND, axis=1, keepdims=True)
    cosine = x_ND @ x_ND.T
    clear = np.abs(cosine - np.float32(0.9999)) > 1e-6
    expected = np.argwhere(np.triu(cosine >= np.float32(0.9999), k=1) & clear)
    found = similar_pairs(x_ND, 0.9999)
    found = found[clear[found[:, 0], found[:, 1]]]
    assert np.array_equal(found, expected)
    assert (found[:, 1] - found[:, 0]).max() > 2048


def test_equal_hashes_are_chained():
    hashes = np.array([5, 9, 5, 7, 9, 5], dtype=np.uint64)
    assert equal_pairs(hashes).tolist() == [[0, 2], [2, 5], [1, 4]]


def test_chains_become_one_cluster_whose_earliest_item_is_canonical():
    pairs = np.array([[0, 1], [1, 2]])
    order = np.array([2, 3, 1, 0, 4])  # item 2 is the oldest, then 3, ...
    cluster_N, canonical_C = cluster_pairs(pairs, order)
    assert cluster_N.tolist() == [0, 0, 0, 1, 2]
    assert canonical_C.tolist() == [2, 3, 4]


def test_without_pairs_every_item_is_its_own_cluster():
    none = np.empty((0, 2), dtype=np.int64)
    cluster_N, canonical_C = cluster_pairs(none, np.array([1, 0]))
    assert cluster_N.tolist() == [1, 0]
    assert canonical_C.tolist() == [1, 0]


def test_the_largest_cosine_across_groups_ignores_pairs_inside():
    groups = np.array([0, 0, 1, 1], dtype=np.int8)
    assert max_cosine_across(X, groups) == pytest.approx(np.cos(np.deg2rad(10)), abs=1e-6)
    assert max_cosine_across(X, np.zeros(4, dtype=np.int8)) == -1.0


def test_a_wrong_shape_is_refused():
    with pytest.raises(ShapeError, match="x_ND has shape"):
        similar_pairs(X[0], 0.9)
    with pytest.raises(ShapeError, match="pairs_P2 has shape"):
        cluster_pairs(np.array([0, 1]), np.array([0, 1]))
    with pytest.raises(ShapeError, match="group_N has shape"):
        max_cosine_across(X, np.zeros(3, dtype=np.int8))
    with pytest.raises(ShapeError, match="content_hash_N has shape"):
        equal_pairs(np.zeros((2, 2), dtype=np.uint64))
