from datetime import date

import numpy as np
import pytest

from gpr_core.data.privacy import bucket_age
from gpr_core.data.sources.movielens_catalog import ALL_AGES, build_movies
from gpr_core.data.sources.movielens_events import (
    Events,
    build_events,
    predict_from_past,
    spread_ties,
)
from gpr_core.data.tables import DAY_MS

DAY = 10_124
START = DAY * DAY_MS


@pytest.fixture(scope="module")
def movies(data):
    return build_movies(data, 7, date(1997, 9, 20))


@pytest.fixture(scope="module")
def events(data, movies):
    return build_events(data, movies, bucket_age(data.age_U), 7)


def make_events(*rows):
    """Rows of (user, movie, rating, day), all of them ads."""
    user, movie, rating, day = np.array(rows, dtype=np.int64).T
    zeros = np.zeros(len(rows), dtype=np.int64)
    return Events(user, movie, rating, day * DAY_MS, day, zeros == 0, zeros, zeros)


def test_ties_are_spread_over_their_second(data):
    ts = spread_ties(data, 7)
    np.testing.assert_array_equal(ts // 1000, data.second_R)
    keys = data.user_R * 10**14 + ts
    assert len(np.unique(keys)) == len(keys)
    # Three ratings share most seconds: 0, 333 and 666 ms.
    assert set((ts % 1000).tolist()) <= {0, 333, 666, 500, 250, 750}


def test_ratings_against_the_targeting_are_left_out(data, movies, events):
    age = bucket_age(data.age_U)
    masks = movies.age_mask_I[events.movie_R[events.is_ad_R]]
    assert ((masks >> age[events.user_R[events.is_ad_R]]) & 1 == 1).all()
    missing = len(data.user_R) - len(events.user_R)
    assert 0 < missing < 0.25 * len(data.user_R)


def test_without_targeting_nothing_is_left_out(data, movies):
    open_movies = movies._replace(age_mask_I=np.full(80, ALL_AGES))
    all_events = build_events(data, open_movies, bucket_age(data.age_U), 7)
    assert len(all_events.user_R) == len(data.user_R)


def test_content_is_never_left_out(data, movies, events):
    organic = ~movies.is_ad_I[data.movie_R]
    assert (~events.is_ad_R).sum() == organic.sum()


def test_events_are_in_time_order(events):
    assert (np.diff(events.ts_R) >= 0).all()


def test_positions_count_ad_requests_of_the_visit(events):
    user = events.user_R[0]
    mine = np.flatnonzero((events.user_R == user) & (events.day_R == events.day_R[0]))
    ads = events.is_ad_R[mine]
    expected = np.minimum(np.cumsum(ads) - ads, 7)
    np.testing.assert_array_equal(events.position_R[mine], np.where(ads, expected, 0))
    np.testing.assert_array_equal(events.shown_today_R[mine], np.cumsum(ads) - ads)


def test_the_first_day_has_only_priors():
    predicted = predict_from_past(make_events((0, 0, 5, 1), (0, 1, 1, 1), (1, 0, 4, 1)))
    np.testing.assert_allclose(predicted.p_ctr_R, 0.5, atol=1e-6)
    np.testing.assert_allclose(predicted.p_cvr_R, 0.4, atol=1e-6)
    np.testing.assert_allclose(predicted.p_neg_R, 0.003, atol=1e-6)


def test_later_days_use_the_days_before():
    predicted = predict_from_past(make_events((0, 0, 5, 1), (1, 0, 4, 1), (2, 0, 1, 2)))
    # All: 2 clicks of 2, 1 conversion of 2 clicks. Movie 0: the same. User 2: nothing.
    ctr = (2 + 100 * 0.5) / (2 + 100)
    cvr = (1 + 100 * 0.4) / (2 + 100)
    assert predicted.p_ctr_R[2] == pytest.approx((2 + 20 * ctr) / (2 + 20), rel=1e-5)
    assert predicted.p_cvr_R[2] == pytest.approx((1 + 20 * cvr) / (2 + 20), rel=1e-5)
    assert predicted.p_neg_R[2] == pytest.approx(0.3 / 102, rel=1e-5)


def test_the_rate_of_the_user_counts_too():
    rows = [(0, movie, 1, 1) for movie in range(10)] + [(0, 50, 1, 2), (1, 50, 1, 2)]
    predicted = predict_from_past(make_events(*rows))
    assert predicted.p_ctr_R[10] < predicted.p_ctr_R[11] - 0.1


def test_the_same_day_and_the_future_change_nothing():
    base = [(0, 0, 5, 1), (1, 0, 4, 2), (2, 0, 1, 2)]
    first = predict_from_past(make_events(*base))
    other = predict_from_past(make_events(*base[:2], (2, 0, 5, 2), (0, 1, 5, 3)))
    for before, after in zip(first, other, strict=True):
        np.testing.assert_array_equal(before, after[:3])
