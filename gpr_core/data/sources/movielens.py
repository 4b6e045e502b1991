"""Lands MovieLens-100K as if it were an ad platform.

Half of the movies play ads, the others organic content. A rating of an ad is a request and its
impression: 1-3 stars nothing more, 4 a click, 5 a click and a conversion. A rating of a content
movie is an organic event. Who rated what, when and how, ages, genders, titles, genres and years are
real; everything commercial is made up and listed in `SYNTHETIC_COLUMNS`.

U = users, I = movies, R = events, C = categories, N = days.

Source: specification 6.2 (public data adapter). Data: F. M. Harper and J. A. Konstan, The MovieLens
Datasets: History and Context, ACM TiiS 5(4), 2015; they may not be redistributed, so none are here.
"""

import logging
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpr_core.data.days import day_of_ms, day_range, day_start_ms
from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.data.lake import Lake
from gpr_core.data.privacy import Cells, bucket_age, keyed_ids, merge_small_cells
from gpr_core.data.sources.movielens_catalog import (
    Movies,
    build_movies,
    embed_movies,
    secret_of,
)
from gpr_core.data.sources.movielens_events import Events, build_events, predict_from_past
from gpr_core.data.sources.movielens_files import MovieLens, read_movielens, readable_titles
from gpr_core.data.sources.movielens_tables import Facts, day_tables
from gpr_core.data.tables import DAY_MS
from gpr_core.support.errors import ConfigError
from gpr_core.support.progress import Progress

SOURCE = "movielens"
# The day after it has the most requests by users who came back: 687 of 1,039 ratings.
MOVIELENS_DEFAULT_DAY = "1998-01-06"

SYNTHETIC_COLUMNS: tuple[str, ...] = (
    "users.device_tier",
    "users.consent",
    "ads.advertiser_key",
    "ads.campaign_key",
    "ads.conversion_type",
    "ads.launch_ts",
    "ad_versions.bid_type",
    "ad_versions.bid_micros",
    "ad_versions.daily_budget_micros",
    "ad_versions.total_budget_micros",
    "ad_versions.status",
    "ad_versions.age_mask",
    "ad_versions.gender_mask",
    "ad_versions.device_mask",
    "ad_versions.geo_set",
    "ad_versions.freq_cap_day",
    "ad_spend_ledger.delta_micros",
    "ad_spend_ledger.cum_day_micros",
    "ad_spend_ledger.cum_total_micros",
    "content.kind",
    "content.author_key",
    "content.publish_ts",
    "embeddings.x_img",
    "requests.scene",
    "requests.placement",
    "requests.device",
    "requests.os",
    "requests.net",
    "requests.privacy",
    "impressions.price_micros",
    "impressions.bid_micros_at",
    "impressions.bid_type_at",
    "impressions.p_ctr",
    "impressions.p_cvr",
    "impressions.p_neg",
    "impressions.ecpm_log",
    "impressions.policy_id",
    "impressions.propensity",
    "impressions.n_eligible",
    "ad_events.type",
    "ad_events.value_micros",
    "organic_events.dwell_ms",
    "organic_events.completion",
)

_LOGGER = logging.getLogger(__name__)
_MIN_CELL_USERS = 20
_REGION_OF_DIGIT = np.array([1, 1, 1, 1, 2, 2, 2, 3, 3, 3])
_ABROAD_REGION, _ABROAD_CITY = 4, 11


def fill_movielens(wheel: Path, lake: Lake, through: date, *, seed: int, progress: Progress) -> int:
    """Land every missing day up to `through`.

    Filling day by day and filling at once give the same bytes: predictions and counters of a day
    look at earlier days only.

    Args:
        wheel: The recbole 1.2.1 wheel; `fetch_movielens_wheel` downloads it.
        lake: Where the days land.
        through: Last day to land.
        seed: Seed of the keyed identifiers and of everything synthetic.
        progress: Where to report progress.

    Returns:
        Number of days landed by this call.

    Raises:
        ConfigError: If `through` is outside the days of the data.
        ArtifactError: If the wheel cannot be read, or the lake holds another source.
    """
    lake.check_source(SOURCE)
    progress.phase(f"reading {wheel.name}")
    data = read_movielens(wheel)
    first, last = (day_of_ms(int(second) * 1000) for second in data.second_R[[0, -1]])
    if not first <= through <= last:
        raise ConfigError(
            f"day {through} is outside the data, which run from {first} to {last}",
            where="--through",
            fix=f"ask for a day between them; {MOVIELENS_DEFAULT_DAY} is a good training day",
        )
    landed = lake.days()
    days = day_range(landed[-1] + timedelta(days=1) if landed else first, through)
    if not days:
        return 0
    facts = _prepare(data, seed, first)
    dropped = len(data.user_R) - len(facts.events.user_R)
    _LOGGER.info("%d of %d ratings miss the ad's target age", dropped, len(data.user_R))
    progress.phase(f"landing {len(days)} days")
    for number, day in enumerate(days, start=1):
        lake.append_day(day, day_tables(facts, day), source=SOURCE)
        progress.update(number, len(days))
    return len(days)


def _prepare(data: MovieLens, seed: int, first: date) -> Facts:
    """Compute everything that does not depend on the day."""
    cells = _cells(data)
    movies = build_movies(data, seed, first)
    events = build_events(data, movies, cells.age_bucket, seed)
    text_ID, image_ID = embed_movies(data)
    row_U = np.array([int(raw) for raw in data.user_ids], dtype=np.int64)
    device_U = 1 + np.floor(4 * keyed_uniform(seed, "movielens_device", row_U)).astype(np.int64)
    reg_ts_U = np.full(len(row_U), np.iinfo(np.int64).max)
    np.minimum.at(reg_ts_U, data.user_R, data.second_R * 1000)
    requests_NU, organic_NUC = _counts(events, movies, len(row_U), day_start_ms(first) // DAY_MS)
    return Facts(
        seed=seed,
        first_day=first,
        movies=movies,
        title_I=np.array(readable_titles(data)),
        text_ID=text_ID,
        image_ID=image_ID,
        cells=cells,
        user_key_U=keyed_ids(data.user_ids, secret_of(seed), space="user"),
        device_U=device_U,
        reg_ts_U=reg_ts_U,
        events=events,
        predictions=predict_from_past(events),
        num_eligible_R=_num_eligible(events, movies, cells),
        requests_NU=requests_NU,
        organic_NUC=organic_NUC,
    )


def _cells(data: MovieLens) -> Cells:
    """Bucket ages, and turn zip codes into a region and its first digit."""
    digits = [int(code[0]) if code[:1].isdigit() else -1 for code in data.zip_codes]
    digit_U = np.array(digits, dtype=np.int64)
    region_U = np.where(digit_U >= 0, _REGION_OF_DIGIT[digit_U], _ABROAD_REGION)
    city_U = np.where(digit_U >= 0, digit_U + 1, _ABROAD_CITY)
    gender_U = np.where(data.is_female_U, 2, 1)
    min_users = min(_MIN_CELL_USERS, len(digits))
    return merge_small_cells(
        bucket_age(data.age_U), gender_U, region_U, city_U, min_users=min_users
    )


def _num_eligible(events: Events, movies: Movies, cells: Cells) -> npt.NDArray[np.int64]:
    """Count the ads that target the user's age and were not shown to them on this day."""
    masks = movies.age_mask_I[movies.is_ad_I]
    ads_by_age = ((masks[:, None] >> np.arange(8)) & 1).sum(axis=0)
    return np.asarray(ads_by_age[cells.age_bucket[events.user_R]] - events.shown_today_R)


def _counts(
    events: Events, movies: Movies, num_users: int, first: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Count requests and organic events by day, user and category."""
    num_days = int(events.day_R[-1]) - first + 1
    num_categories = int(movies.category_I.max()) + 1
    requests_NU = np.zeros((num_days, num_users), dtype=np.int64)
    organic_NUC = np.zeros((num_days, num_users, num_categories), dtype=np.int64)
    day, user, is_ad = events.day_R - first, events.user_R, events.is_ad_R
    np.add.at(requests_NU, (day[is_ad], user[is_ad]), 1)
    category = movies.category_I[events.movie_R]
    np.add.at(organic_NUC, (day[~is_ad], user[~is_ad], category[~is_ad]), 1)
    return requests_NU, organic_NUC
