import numpy as np

from gpr_core.world.exposures import no_exposures


def ints(*values):
    return np.array(values, dtype=np.int64)


def test_nobody_has_seen_anything_at_first():
    assert no_exposures().of(ints(1, 2), ints(3, 4)).tolist() == [0, 0]


def test_impressions_add_up_by_user_and_ad():
    seen = no_exposures().plus(ints(1, 1, 2), ints(7, 7, 7)).plus(ints(1), ints(7))
    assert seen.of(ints(1, 2, 1, 3), ints(7, 7, 8, 7)).tolist() == [3, 1, 0, 0]


def test_users_and_ads_do_not_collide():
    seen = no_exposures().plus(ints(0), ints(1))
    assert seen.of(ints(1, 0), ints(0, 1)).tolist() == [0, 1]


def test_counts_broadcast():
    seen = no_exposures().plus(ints(5), ints(2))
    assert seen.of(ints(4, 5)[:, None], np.array([[1, 2], [1, 2]])).tolist() == [[0, 0], [0, 1]]


def test_adding_nothing_changes_nothing():
    seen = no_exposures().plus(ints(5), ints(2))
    same = seen.plus(ints(), ints())
    assert same.pair_Q.tolist() == seen.pair_Q.tolist()
    assert same.count_Q.tolist() == [1]
