import numpy as np
import pytest

from gpr_core.evaluation.ranked_ads import RankedAds
from gpr_core.evaluation.retrieval import ad_positions, hits, only_where, path_positions
from gpr_core.support.errors import ShapeError

# Ads 0, 1 share path 10; ads 2, 3 share path 11; ad 4 has path 12.
PATH_A = np.array([10, 10, 11, 11, 12])


def make_lists(rank_BK):
    rank_BK = np.array(rank_BK)
    return RankedAds(rank_BK, np.zeros(rank_BK.shape))


def test_ad_position_counts_from_one_and_zero_means_missing():
    lists = make_lists([[4, 2, 0], [4, 2, 0], [4, -1, -1], [4, 2, 0]])
    assert ad_positions(lists, np.array([4, 0, 0, -1])).tolist() == [1, 3, 0, 0]


def test_path_position_counts_distinct_paths():
    # Paths of the first list: 10, 10, 11, 12 -> distinct positions 1, 1, 2, 3.
    lists = make_lists([[0, 1, 2, 4]] * 4 + [[4, -1, -1, -1]])
    truth_B = np.array([1, 3, 4, -1, 3])
    assert path_positions(lists, truth_B, PATH_A).tolist() == [1, 2, 3, 0, 0]


def test_a_sibling_ad_is_a_path_hit_but_no_ad_hit():
    lists = make_lists([[3]])
    assert hits(ad_positions(lists, np.array([2])), 1).tolist() == [0.0]
    assert hits(path_positions(lists, np.array([2]), PATH_A), 1).tolist() == [1.0]


def test_padding_is_never_a_path_hit():
    # The last path must not be read through index -1.
    assert path_positions(make_lists([[-1, -1]]), np.array([4]), PATH_A).tolist() == [0]


def test_hit_at_k_needs_the_position_inside_k():
    assert hits(np.array([0, 1, 10, 11]), 10).tolist() == [0.0, 1.0, 1.0, 0.0]


def test_empty_lists_have_no_hits():
    lists = make_lists(np.empty((2, 0), dtype=np.int64))
    assert ad_positions(lists, np.array([1, 2])).tolist() == [0, 0]
    assert path_positions(lists, np.array([1, 2]), PATH_A).tolist() == [0, 0]


def test_requests_that_do_not_count_become_missing():
    kept = only_where(np.array([1.0, 0.0]), np.array([True, False]))
    assert kept[0] == 1.0
    assert np.isnan(kept[1])


def test_truth_of_other_requests_is_refused():
    with pytest.raises(ShapeError, match="truth_B"):
        ad_positions(make_lists([[1]]), np.array([1, 2]))
    with pytest.raises(ShapeError, match="truth_B"):
        path_positions(make_lists([[1]]), np.array([1, 2]), PATH_A)
