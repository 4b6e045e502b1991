"""Tests of the coverage of interests."""

import numpy as np
import pytest

from gpr_core.evaluation.interests import covered_interests
from gpr_core.support.errors import ShapeError

LISTS = np.array([[1, 2, 2], [1, 1, 1], [7, -1, -1], [1, 2, 3]])
INTERESTS = [frozenset({1, 2}), frozenset({1, 2}), frozenset({1, 2}), frozenset()]


def test_an_interest_is_covered_by_one_ad_of_its_category():
    assert covered_interests(LISTS, INTERESTS)[:3].tolist() == [1.0, 0.5, 0.0]


def test_a_request_without_interests_does_not_count():
    assert np.isnan(covered_interests(LISTS, INTERESTS)[3])


def test_a_longer_list_covers_no_less():
    stream = np.random.default_rng(0)
    lists = stream.integers(0, 6, (50, 8))
    interests = [frozenset(stream.integers(0, 6, 3).tolist()) for _ in range(50)]
    shares = np.array([covered_interests(lists[:, :k], interests) for k in range(1, 9)])
    assert (np.diff(shares, axis=0) >= 0).all()
    assert shares[0].mean() < shares[-1].mean()


def test_an_empty_place_is_no_category():
    assert covered_interests(np.array([[-1, -1]]), [frozenset({0})]).tolist() == [0.0]


def test_other_numbers_of_lists_and_interests_are_refused():
    with pytest.raises(ShapeError, match="category_BK"):
        covered_interests(LISTS, INTERESTS[:2])
