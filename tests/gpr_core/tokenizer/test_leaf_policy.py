"""From leaves to ads."""

import numpy as np
import pytest

from gpr_core.support.errors import ShapeError
from gpr_core.tokenizer.leaf_policy import eligible_leaf_ads, leaf_ranks


def test_ads_of_a_path_are_numbered_by_launch_then_key():
    path = np.array([1, 0, 1, 1, 0])
    launch = np.array([20, 5, 10, 10, 5])
    keys = np.array([1, 9, 8, 7, 2], np.uint64)
    assert leaf_ranks(path, launch, keys).tolist() == [2, 1, 1, 0, 0]


def test_a_later_ad_never_changes_old_numbers():
    path, launch = np.array([0, 0, 0]), np.array([30, 10, 20])
    keys = np.array([1, 2, 3], np.uint64)
    before = leaf_ranks(path, launch, keys).tolist()
    after = leaf_ranks(np.append(path, 0), np.append(launch, 40), np.append(keys, np.uint64(0)))
    assert after.tolist() == [*before, 3]


def test_no_ads_have_no_numbers():
    none = np.zeros(0, np.int64)
    assert leaf_ranks(none, none, none.astype(np.uint64)).tolist() == []


def test_only_eligible_ads_leave_a_leaf():
    eligible = np.array([[True, False, True, True], [False, False, False, True]])
    found = eligible_leaf_ads(
        np.array([0, 2, 0, 2]), np.array([2, 4, 2, 4]), np.array([0, 0, 1, 1]), eligible
    )
    assert found.leaf_C.tolist() == [0, 1, 1, 3]
    assert found.rank_C.tolist() == [0, 2, 3, 3]


def test_every_ad_of_every_leaf_can_be_reached():
    first, end = np.array([0, 3, 3]), np.array([3, 3, 5])
    found = eligible_leaf_ads(first, end, np.zeros(3, np.int64), np.ones((1, 5), bool))
    assert found.rank_C.tolist() == [0, 1, 2, 3, 4]


def test_shapes_are_checked():
    one, two = np.zeros(1, np.int64), np.zeros(2, np.int64)
    with pytest.raises(ShapeError, match="end_M has shape"):
        eligible_leaf_ads(one, two, one, np.ones((1, 1), bool))
    with pytest.raises(ShapeError, match="rows_M has shape"):
        eligible_leaf_ads(one, one, two, np.ones((1, 1), bool))
