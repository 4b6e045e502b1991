import numpy as np
import pytest

from gpr_core.evaluation.intervals import Interval, UserBootstrap
from gpr_core.support.errors import ShapeError

NAN = float("nan")


def make_bootstrap(user_B, seed=3, resamples=400):
    return UserBootstrap(np.array(user_B), seed=seed, resamples=resamples)


def test_mean_and_count_are_over_requests_not_users():
    interval = make_bootstrap([5, 5, 5, 9]).interval(np.array([1.0, 0.0, 0.0, 1.0]))
    assert interval is not None
    assert (interval.value, interval.n) == (0.5, 4)


def test_two_users_give_only_the_three_possible_means():
    # Resamples take {5, 5}, {5, 9} or {9, 9}: means 1/3, (1 + 1) / 4 and 1.
    draws = make_bootstrap([5, 5, 5, 9]).draws(np.array([[1.0], [0.0], [0.0], [1.0]]))
    assert np.unique(draws.draw_SM).round(6).tolist() == [0.333333, 0.5, 1.0]


def test_requests_of_one_user_stay_together_so_that_the_interval_is_wider():
    value_B = np.repeat([0.0, 1.0], 50)
    by_user = make_bootstrap(np.repeat([1, 2], 50)).interval(value_B)
    by_request = make_bootstrap(np.arange(100)).interval(value_B)
    assert (by_user.ci_low, by_user.ci_high) == (0.0, 1.0)
    assert 0.35 < by_request.ci_low < by_request.ci_high < 0.65


def test_missing_values_are_left_out_of_numerator_and_denominator():
    interval = make_bootstrap([1, 2, 3]).interval(np.array([2.0, NAN, 2.0]))
    assert interval == Interval(value=2.0, ci_low=2.0, ci_high=2.0, n=2)


def test_a_metric_that_no_request_counts_for_has_no_interval():
    assert make_bootstrap([1, 2]).interval(np.array([NAN, NAN])) is None


def test_equal_methods_differ_by_exactly_zero():
    value_B = np.array([0.0, 1.0, 1.0, 0.0])
    difference = make_bootstrap([1, 2, 3, 4]).difference(value_B, value_B)
    assert difference == Interval(value=0.0, ci_low=0.0, ci_high=0.0, n=4)


def test_paired_difference_is_narrower_than_the_two_intervals_suggest():
    base_B = np.random.Generator(np.random.PCG64(1)).normal(size=200)
    bootstrap = make_bootstrap(np.arange(200))
    difference = bootstrap.difference(base_B + 0.1, base_B)
    assert (round(difference.ci_low, 6), round(difference.ci_high, 6)) == (0.1, 0.1)


def test_same_seed_same_draws_and_another_seed_other_draws():
    value_BM = np.array([[0.0], [1.0], [5.0]])
    first = make_bootstrap([1, 2, 3]).draws(value_BM).draw_SM
    assert np.array_equal(first, make_bootstrap([1, 2, 3]).draws(value_BM).draw_SM)
    assert not np.array_equal(first, make_bootstrap([1, 2, 3], seed=4).draws(value_BM).draw_SM)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    stream = np.random.Generator(np.random.PCG64(2))
    covered = 0
    for _ in range(200):
        value_B = stream.normal(size=60)
        interval = make_bootstrap(np.arange(60), resamples=300).interval(value_B)
        covered += interval.ci_low <= 0.0 <= interval.ci_high
    assert 0.88 <= covered / 200 <= 0.99


def test_no_request_is_refused():
    with pytest.raises(ShapeError, match="no request to resample"):
        make_bootstrap(np.empty(0, dtype=np.int64))


def test_another_number_of_requests_is_refused():
    with pytest.raises(ShapeError, match="one row per request"):
        make_bootstrap([1, 2]).draws(np.zeros((3, 1)))
