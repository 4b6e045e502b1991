import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.data import near_duplicates
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


def draw_items(seed, num_items, width, num_clusters, spread):
    """Draw rows of length 1 around centers; some are copies, some are zero."""
    draw = numpy_stream(seed, "items")
    center_CD = draw.normal(size=(num_clusters, width))
    x_ND = center_CD[draw.integers(num_clusters, size=num_items)]
    x_ND = x_ND + spread * draw.normal(size=(num_items, width))
    x_ND[draw.random(num_items) < 0.1] = x_ND[0]
    norm_N1 = np.linalg.norm(x_ND, axis=1, keepdims=True)
    x_ND = x_ND / np.where(norm_N1 == 0, 1, norm_N1)
    x_ND[draw.random(num_items) < 0.02] = 0.0
    return x_ND.astype(np.float32)


def cosines(x_ND):
    """Compute all cosines in double precision."""
    return x_ND.astype(np.float64) @ x_ND.T.astype(np.float64)


catalogs = st.builds(
    draw_items,
    seed=st.integers(0, 2**31),
    num_items=st.integers(1, 300),
    width=st.sampled_from([1, 2, 3, 8, 64]),
    num_clusters=st.integers(1, 40),
    spread=st.sampled_from([0.0, 0.01, 0.1, 0.3, 3.0]),
)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(catalogs, st.sampled_from([-1.0, 0.0, 0.5, 0.9, 0.97, 0.9999]))
def test_cells_find_exactly_the_pairs_of_all_cosines(x_ND, threshold):
    cosine = cosines(x_ND)
    # Where double precision itself rounds, either answer is right.
    clear = np.abs(cosine - threshold) > 1e-12
    expected = np.argwhere(np.triu(cosine >= threshold, k=1) & clear)
    found = similar_pairs(x_ND, threshold)
    assert np.array_equal(found[clear[found[:, 0], found[:, 1]]], expected)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(catalogs, st.integers(1, 3))
def test_cells_find_the_largest_cosine_across_groups(x_ND, num_groups):
    group_N = (np.arange(len(x_ND)) % num_groups).astype(np.int8)
    differs = group_N[:, None] != group_N
    expected = cosines(x_ND).max(initial=-1.0, where=differs)
    assert max_cosine_across(x_ND, group_N) == pytest.approx(expected, abs=1e-5)


def test_no_items_are_no_pairs():
    none_ND = np.empty((0, 3), dtype=np.float32)
    assert similar_pairs(none_ND, 0.9).shape == (0, 2)
    assert max_cosine_across(none_ND, np.empty(0, dtype=np.int8)) == -1.0


def test_most_pairs_of_separate_clusters_are_never_looked_at(monkeypatch):
    x_ND = draw_items(3, 3000, 64, 30, 0.05)
    looked_at = 0
    compare = near_duplicates._pairs_in_block

    def count(x_ND, rows, columns, threshold):
        nonlocal looked_at
        looked_at += rows.size * columns.size
        return compare(x_ND, rows, columns, threshold)

    monkeypatch.setattr(near_duplicates, "_pairs_in_block", count)
    found = similar_pairs(x_ND, 0.97)
    assert len(found) > 3000
    assert looked_at < 0.15 * 3000**2 / 2


def test_a_cell_larger_than_a_block_is_cut(monkeypatch):
    monkeypatch.setattr(near_duplicates, "_BLOCK_ROWS", 7)
    x_ND = draw_items(4, 60, 3, 2, 0.001)
    expected = np.argwhere(np.triu(cosines(x_ND) >= 0.97, k=1))
    assert np.array_equal(similar_pairs(x_ND, 0.97), expected)


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
