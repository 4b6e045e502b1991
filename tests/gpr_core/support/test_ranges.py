"""Tests of the integers of ranges."""

import numpy as np

from gpr_core.support.ranges import expand_ranges


def test_empty_ranges_vanish():
    owner, value = expand_ranges(np.array([3, 7, 1]), np.array([5, 7, 2]))
    assert owner.tolist() == [0, 0, 2]
    assert value.tolist() == [3, 4, 1]


def test_no_range_has_no_integer():
    nothing = np.zeros(0, dtype=np.int64)
    assert [part.size for part in expand_ranges(nothing, nothing)] == [0, 0]
