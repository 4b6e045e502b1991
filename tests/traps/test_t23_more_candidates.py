"""T23: the best final value grows with the number of candidates, and with the same ad repeated."""

import numpy as np
import pytest

from gpr_core.evaluation.ranked_ads import NO_AD, RankedAds, check_distinct
from gpr_core.evaluation.value import list_value
from gpr_core.support.errors import LegalityError, ShapeError

ASKED = 3
VALUE_OF_AD = np.array([5.0, 1.0, 4.0, 2.0, 9.0])


def make_lists(*rows):
    rank_BK = np.array(rows)
    return RankedAds(rank_BK, np.zeros(rank_BK.shape))


def honest_maximum(lists):
    """Measure as the evaluation does."""
    check_distinct("method", lists)
    value_BK = VALUE_OF_AD[np.maximum(lists.rank_BK, 0)]
    return list_value(value_BK, lists.rank_BK != NO_AD, ASKED)


def careless_maximum(lists):
    """Broken twin: whatever is returned counts."""
    value_BK = np.where(lists.rank_BK == NO_AD, -np.inf, VALUE_OF_AD[lists.rank_BK])
    return value_BK.max(axis=1)


def check_longer_lists_are_refused(measure):
    """A method that returns more than it was asked for must not be measured at all."""
    with pytest.raises(ShapeError, match="every method was asked for 3"):
        measure(make_lists([0, 1, 2, 3, 4]))


def check_flooding_is_refused(measure):
    """A list that names one ad several times must not be measured at all."""
    with pytest.raises(LegalityError, match="emitted an ad twice"):
        measure(make_lists([0, 0, 0]))


def test_lists_of_the_length_asked_for_are_measured():
    found = honest_maximum(make_lists([0, 1, 2], [3, NO_AD, NO_AD]))
    assert found.max_B.tolist() == [5.0, 2.0]
    assert found.mean_B.tolist() == pytest.approx([10 / 3, 2.0])
    # A short list is not hidden: its coverage says so.
    assert found.coverage_B.tolist() == pytest.approx([1.0, 1 / 3])


@pytest.mark.parametrize("check", [check_longer_lists_are_refused, check_flooding_is_refused])
def test_more_candidates_and_repeated_ads_are_refused(check):
    check(honest_maximum)


@pytest.mark.parametrize("check", [check_longer_lists_are_refused, check_flooding_is_refused])
def test_a_careless_measure_is_caught(check):
    with pytest.raises(pytest.fail.Exception):
        check(careless_maximum)


def test_returning_more_would_have_raised_the_maximum():
    short, long = make_lists([0, 1, 2]), make_lists([0, 1, 2, 3, 4])
    assert careless_maximum(long)[0] > careless_maximum(short)[0]
