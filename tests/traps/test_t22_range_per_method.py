"""T22: scaling each method by its own range fakes or flips the order of methods."""

import numpy as np
import pytest

from gpr_core.evaluation.value import pooled_range, scale

# Raw means 2.0 < 6.8: the second method is worth more at every place.
POOR = np.array([[1.0, 2.0, 3.0]])
GOOD = np.array([[6.0, 6.2, 8.2]])
DOMINATED = np.array([[2.0, 5.0, 7.0]])
ALL = np.ones((1, 3), dtype=bool)


def shared_means(**methods):
    """Scale as the evaluation does."""
    low, high = pooled_range({name: (raw, ALL) for name, raw in methods.items()})
    return {name: float(scale(raw, low, high).mean()) for name, raw in methods.items()}


def own_range_means(**methods):
    """Broken twin: every method has its own minimum and maximum."""
    return {name: float(scale(raw, raw.min(), raw.max()).mean()) for name, raw in methods.items()}


def check_order_is_that_of_raw_means(scaled_means):
    """The method with the larger raw mean must keep the larger scaled mean."""
    scaled = scaled_means(poor=POOR, good=GOOD)
    assert (scaled["good"] > scaled["poor"]) == (GOOD.mean() > POOR.mean())


def check_a_dominated_method_changes_nothing(scaled_means):
    """A method inside the range of the others must not move their numbers.

    A shared range passes because the range stays; so does a range per method, which is why this
    check alone would not be enough.
    """
    before = scaled_means(poor=POOR, good=GOOD)
    after = scaled_means(poor=POOR, good=GOOD, dominated=DOMINATED)
    assert {name: after[name] for name in before} == before


def test_shared_range_keeps_the_order():
    check_order_is_that_of_raw_means(shared_means)
    scaled = shared_means(poor=POOR, good=GOOD)
    # Range 1 to 8.2: (0 + 1 + 2) / 3 / 7.2 and (5 + 5.2 + 7.2) / 3 / 7.2.
    assert scaled == {"poor": pytest.approx(1 / 7.2), "good": pytest.approx(5.8 / 7.2)}


def test_adding_a_dominated_method_changes_nothing():
    check_a_dominated_method_changes_nothing(shared_means)


def test_a_range_per_method_flips_the_order_and_is_caught():
    with pytest.raises(AssertionError):
        check_order_is_that_of_raw_means(own_range_means)
    scaled = own_range_means(poor=POOR, good=GOOD)
    # 0.50 > 0.36 although 2.0 < 6.8.
    assert scaled == {"poor": pytest.approx(0.5), "good": pytest.approx(0.8 / 2.2)}
