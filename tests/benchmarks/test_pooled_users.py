"""Tests of intervals over the users of several seeds."""

import numpy as np
import pytest

from benchmarks.pooled_users import mean_with_interval, pooled_bootstrap

USERS = {0: np.repeat(np.arange(30), 2), 1: np.repeat(np.arange(30), 2)}
# Requests of one key are worth the same in both seeds.
VALUES = np.concatenate([USERS[0], USERS[1]]).astype(np.float64)


def width(same_users):
    found = mean_with_interval(pooled_bootstrap(USERS, same_users=same_users), VALUES)
    assert found["mean"] == pytest.approx(14.5)
    return found["high"] - found["low"]


def test_a_person_who_is_in_every_seed_is_drawn_with_all_of_them():
    """Half as many independent people: the interval is wider by the root of two."""
    assert width(same_users=True) == pytest.approx(2**0.5 * width(same_users=False), rel=0.1)


def test_requests_that_do_not_count_are_left_out():
    values = np.where(VALUES < 20, VALUES, np.nan)
    assert mean_with_interval(pooled_bootstrap(USERS), values)["mean"] == pytest.approx(9.5)


def test_no_request_that_counts_is_an_error():
    with pytest.raises(AssertionError, match="no request counts"):
        mean_with_interval(pooled_bootstrap(USERS), np.full(120, np.nan))
