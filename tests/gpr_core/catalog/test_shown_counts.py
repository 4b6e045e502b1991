"""Tests of sparse counts of impressions against a matrix."""

import numpy as np
import pytest

from gpr_core.catalog.shown_counts import ShownCounts

REQUESTS, ADS = 7, 11


@pytest.fixture
def impressions():
    """Past impressions of some requests; the last two have none."""
    stream = np.random.default_rng(0)
    return stream.integers(0, REQUESTS - 2, 60), stream.integers(0, ADS, 60)


@pytest.fixture
def matrix(impressions):
    """The same, counted one by one."""
    count = np.zeros((REQUESTS, ADS), dtype=np.int64)
    np.add.at(count, impressions, 1)
    return count


@pytest.fixture
def counts(impressions):
    return ShownCounts.of_impressions(*impressions)


def test_counts_are_those_of_the_matrix(counts, matrix):
    assert counts.dense(REQUESTS, ADS).tolist() == matrix.tolist()
    assert counts.count_S.min() == 1


def test_pairs_are_looked_up_in_any_order(counts, matrix):
    row, rank = (part.ravel() for part in np.indices((REQUESTS, ADS)))
    shuffled = np.random.default_rng(1).permutation(row.size)
    row, rank = row[shuffled], rank[shuffled]
    assert counts.of(row, rank).tolist() == matrix[row, rank].tolist()


def test_an_ad_beyond_all_that_were_shown_was_not_shown(counts):
    assert counts.of(np.array([0, 1]), np.array([ADS, 10**12])).tolist() == [0, 0]


def test_requests_are_taken_in_the_order_asked_for(counts, matrix):
    rows = np.array([4, 6, 0])
    assert counts.take(rows).dense(3, ADS).tolist() == matrix[rows].tolist()


def test_ads_keep_their_counts_under_other_ranks(counts, matrix):
    rank = np.random.default_rng(2).permutation(ADS)
    moved = counts.translate(rank)
    assert moved.dense(REQUESTS, ADS)[:, rank].tolist() == matrix.tolist()
    assert moved.of(np.array([0]), rank[[3]]).tolist() == [matrix[0, 3]]


def test_nothing_shown_is_zero_everywhere():
    nothing = ShownCounts.of_impressions(*np.zeros((2, 0), dtype=np.int64))
    assert nothing.of(np.array([0]), np.array([3])).tolist() == [0]
    assert nothing.take(np.array([2, 1])).dense(2, 3).sum() == 0
