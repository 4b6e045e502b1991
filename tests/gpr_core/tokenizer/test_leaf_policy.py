"""From leaves to ads."""

import numpy as np

from gpr_core.tokenizer.leaf_policy import leaf_ranks


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
