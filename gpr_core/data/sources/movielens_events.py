"""Ratings as requests, impressions, clicks and organic events; predictions from the past only.

R = ratings, I = movies, U = users, N = days.

Source: specification 6.2 (public data adapter); smoothing constants are our own.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from gpr_core.data.keyed_sampling import keyed_hash
from gpr_core.data.sources.movielens_catalog import Movies
from gpr_core.data.sources.movielens_files import MovieLens
from gpr_core.data.tables import DAY_MS

CLICK_RATING = 4
CONVERSION_RATING = 5

_VISIT_GAP_MS = 30 * 60_000
_LAST_POSITION = 7
_PRIOR_CTR, _PRIOR_CVR, _PRIOR_HIDE = 0.5, 0.4, 0.003
_PRIOR_RATINGS, _AD_STRENGTH, _USER_STRENGTH = 100.0, 20.0, 10.0

Ints = npt.NDArray[np.int64]
Singles = npt.NDArray[np.float32]


class Events(NamedTuple):
    """Ratings that land, in time order.

    Attributes:
        user_R: [R] int64, row of the user.
        movie_R: [R] int64, row of the movie.
        rating_R: [R] int64, 1..5.
        ts_R: [R] int64 epoch ms.
        day_R: [R] int64, day ordinal.
        is_ad_R: [R] bool, the movie plays an ad.
        position_R: [R] int64, ad requests of the visit so far, at most 7; 0 for organic events.
        shown_today_R: [R] int64, ads the user was shown earlier on the day.
    """

    user_R: Ints
    movie_R: Ints
    rating_R: Ints
    ts_R: Ints
    day_R: Ints
    is_ad_R: npt.NDArray[np.bool_]
    position_R: Ints
    shown_today_R: Ints


class Predictions(NamedTuple):
    """Smoothed rates of the past, for ad ratings; undefined for organic events.

    Attributes:
        p_ctr_R: [R] float32 in (0, 1).
        p_cvr_R: [R] float32 in (0, 1), given a click.
        p_neg_R: [R] float32 in (0, 1).
    """

    p_ctr_R: Singles
    p_cvr_R: Singles
    p_neg_R: Singles


def spread_ties(data: MovieLens, seed: int) -> Ints:
    """Give every rating of a user its own millisecond.

    Up to ten ratings of a user carry the same second. They are spread evenly over that second, in
    an order drawn by keyed hash, because their true order is not known.

    Args:
        data: The data as published.
        seed: Seed of the lake.

    Returns:
        [R] int64 epoch ms within the published second.
    """
    draw_R = keyed_hash(seed, "movielens_tie", data.user_R, data.movie_R)
    order = np.lexsort((draw_R, data.second_R, data.user_R))
    user, second = data.user_R[order], data.second_R[order]
    is_first = np.r_[True, (np.diff(user) != 0) | (np.diff(second) != 0)]
    group = np.cumsum(is_first) - 1
    start = np.flatnonzero(is_first)
    size = np.diff(np.r_[start, len(user)])
    offset_R = np.empty(len(user), dtype=np.int64)
    offset_R[order] = (np.arange(len(user)) - start[group]) * 1000 // size[group]
    return data.second_R * 1000 + offset_R


def build_events(data: MovieLens, movies: Movies, age_U: Ints, seed: int) -> Events:
    """Turn ratings into events.

    Ratings of ads that do not target the user's age are left out: such an impression could not
    have happened, and bending the targeting to fit the ratings would leak them.

    Args:
        data: The data as published.
        movies: The movies.
        age_U: [U] int64, age buckets as landed.
        seed: Seed of the lake.

    Returns:
        Events sorted by (ts, user).
    """
    ts_R = spread_ties(data, seed)
    is_ad_R = movies.is_ad_I[data.movie_R]
    reaches_R = (movies.age_mask_I[data.movie_R] >> age_U[data.user_R]) & 1 == 1
    [kept] = np.nonzero(reaches_R | ~is_ad_R)
    kept = kept[np.lexsort((data.user_R[kept], ts_R[kept]))]
    user_R, ts_R, is_ad_R = data.user_R[kept], ts_R[kept], is_ad_R[kept]
    position_R, shown_today_R = _positions(user_R, ts_R, is_ad_R)
    return Events(
        user_R=user_R,
        movie_R=data.movie_R[kept],
        rating_R=data.rating_R[kept],
        ts_R=ts_R,
        day_R=ts_R // DAY_MS,
        is_ad_R=is_ad_R,
        position_R=position_R,
        shown_today_R=shown_today_R,
    )


def predict_from_past(events: Events) -> Predictions:
    """Predict clicks and conversions of each ad rating from the days before it.

    A click rate joins the smoothed rate of the movie with that of the user, on the logit scale. No
    hide is ever logged, so that p_neg only falls with the number of impressions.

    Args:
        events: Events.

    Returns:
        Predictions; those of the first day are the priors.
    """
    shown = events.is_ad_R.astype(np.float64)
    clicked = shown * (events.rating_R >= CLICK_RATING)
    bought = shown * (events.rating_R >= CONVERSION_RATING)
    nobody = np.zeros(len(shown), dtype=np.int64)
    of_ad, of_user, of_all = (
        _sums_before(key, events.day_R, np.stack([shown, clicked, bought], axis=1))
        for key in (events.movie_R, events.user_R, nobody)
    )
    ctr = _smooth(of_all[:, 1], of_all[:, 0], _PRIOR_CTR, _PRIOR_RATINGS)
    cvr = _smooth(of_all[:, 2], of_all[:, 1], _PRIOR_CVR, _PRIOR_RATINGS)
    ad_ctr = _smooth(of_ad[:, 1], of_ad[:, 0], ctr, _AD_STRENGTH)
    user_ctr = _smooth(of_user[:, 1], of_user[:, 0], ctr, _USER_STRENGTH)
    both = expit(logit(ad_ctr) + logit(user_ctr) - logit(ctr))
    hide = _smooth(np.zeros_like(ctr), of_ad[:, 0], _PRIOR_HIDE, _PRIOR_RATINGS)
    return Predictions(
        p_ctr_R=both.astype(np.float32),
        p_cvr_R=_smooth(of_ad[:, 2], of_ad[:, 1], cvr, _AD_STRENGTH).astype(np.float32),
        p_neg_R=hide.astype(np.float32),
    )


def _smooth(
    hits: npt.NDArray[np.float64],
    tries: npt.NDArray[np.float64],
    prior: npt.NDArray[np.float64] | float,
    strength: float,
) -> npt.NDArray[np.float64]:
    """Pull a rate towards a prior that counts as `strength` tries."""
    return np.asarray((hits + strength * prior) / (tries + strength))


def _sums_before(
    key_R: Ints, day_R: Ints, values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sum values over the rows of the same key on earlier days."""
    order = np.lexsort((day_R, key_R))
    key, day = key_R[order], day_R[order]
    sums = np.r_[np.zeros((1, values.shape[1])), np.cumsum(values[order], axis=0)]
    new_key = np.r_[True, np.diff(key) != 0]
    new_day = new_key | np.r_[True, np.diff(day) != 0]
    position = np.arange(len(key))
    key_start = np.maximum.accumulate(np.where(new_key, position, 0))
    day_start = np.maximum.accumulate(np.where(new_day, position, 0))
    result = np.empty_like(values)
    result[order] = sums[day_start] - sums[key_start]
    return result


def _positions(user_R: Ints, ts_R: Ints, is_ad_R: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """Count earlier ad requests of the visit and of the day."""
    order = np.lexsort((ts_R, user_R))
    user, ts, is_ad = user_R[order], ts_R[order], is_ad_R[order]
    new_user = np.r_[True, np.diff(user) != 0]
    new_visit = new_user | np.r_[True, np.diff(ts) > _VISIT_GAP_MS]
    new_day = new_user | np.r_[True, np.diff(ts // DAY_MS) != 0]
    before: Ints = np.cumsum(is_ad) - is_ad

    def since(new: npt.NDArray[np.bool_]) -> Ints:
        start = np.maximum.accumulate(np.where(new, np.arange(len(user)), 0))
        result = np.empty(len(user), dtype=np.int64)
        result[order] = before - before[start]
        return result

    position_R = np.where(is_ad_R, np.minimum(since(new_visit), _LAST_POSITION), 0)
    return position_R, since(new_day)
