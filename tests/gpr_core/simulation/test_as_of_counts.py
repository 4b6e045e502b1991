import numpy as np
import pytest

from gpr_core.simulation.as_of_counts import AsOfCounter, codes_of, dense_codes
from gpr_core.support.errors import ShapeError

KEYS, TIMES = np.array([0, 1, 0, 0, -1]), np.array([10, 20, 30, 30, 5])


def test_events_strictly_before_count():
    counter = AsOfCounter(KEYS, TIMES)
    key, ts = np.array([0, 0, 0, 0, 1, 1]), np.array([10, 11, 30, 31, 20, 21])
    assert counter.before(key, ts).tolist() == [0, 1, 1, 3, 0, 1]


def test_window_looks_back_inclusively_only_so_far():
    counter = AsOfCounter(KEYS, TIMES)
    key, ts = np.array([0, 0, 0]), np.array([31, 31, 500])
    assert counter.before(key, ts, 21).tolist() == [3, 3, 0]
    assert counter.before(key, ts, 20).tolist() == [2, 2, 0]


def test_weights_are_summed():
    counter = AsOfCounter(KEYS, TIMES, np.array([5, 7, 1, 2, 99]))
    assert counter.before(np.array([0, 1]), np.array([31, 31])).tolist() == [8, 7]


def test_unknown_keys_and_times_outside_have_nothing():
    counter = AsOfCounter(KEYS, TIMES)
    key, ts = np.array([-1, 2, 0, 1]), np.array([99, 99, -5, 10**15])
    assert counter.before(key, ts).tolist() == [0, 0, 0, 1]


def test_no_events_count_zero():
    none = np.zeros(0, np.int64)
    assert AsOfCounter(none, none).before(np.array([0, 3]), np.array([1, 2])).tolist() == [0, 0]


def test_arrays_of_different_length_are_refused():
    with pytest.raises(ShapeError, match="2 keys and 1 times"):
        AsOfCounter(np.array([0, 1]), np.array([1]))


def test_keys_that_do_not_fit_are_refused():
    with pytest.raises(ShapeError, match="do not fit 63 bits"):
        AsOfCounter(np.array([0, 1 << 40]), np.array([0, 1 << 40]))


def test_codes_follow_the_sorted_values():
    distinct, code = dense_codes(np.array([9, 4, 9]))
    assert (distinct.tolist(), code.tolist()) == ([4, 9], [1, 0, 1])
    assert codes_of(distinct, np.array([9, 5, 99])).tolist() == [1, -1, -1]
    assert codes_of(np.zeros(0, np.int64), np.array([1])).tolist() == [-1]
