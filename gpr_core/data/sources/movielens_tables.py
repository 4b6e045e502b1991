"""The twelve lake tables of one MovieLens day.

U = users, I = movies, R = events, M = rows of one table, C = categories, N = days.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.data.days import day_start_ms
from gpr_core.data.keyed_sampling import keyed_hash
from gpr_core.data.privacy import Cells
from gpr_core.data.sources.movielens_catalog import Movies
from gpr_core.data.sources.movielens_events import (
    CLICK_RATING,
    CONVERSION_RATING,
    Events,
    Predictions,
)
from gpr_core.data.table_columns import make_table, ragged, vectors
from gpr_core.data.tables import DAY_MS, TABLES, AdEventType, AdStatus, BidType, OrganicAction

POLICY_ID = "movielens-synthetic-bids"
ENCODER_VERSION = "movielens-hashed-svd-synthetic"

_EXPOSURE_MS, _CLICK_MS, _CONVERSION_MS = 5, 15, 25
_WINDOW_DAYS = 28
_TOP_CATEGORIES = 3
_PRICE_SHARE = 0.7
_BUDGET_MICROS = 10**13
_ALL_GENDERS, _ALL_DEVICES = 0b111, 0b11111
_ACTION_OF_RATING = np.array(
    [
        OrganicAction.VIEW,
        OrganicAction.SKIP,
        OrganicAction.VIEW,
        OrganicAction.COMPLETE,
        OrganicAction.LIKE,
        OrganicAction.SHARE,
    ],
    dtype=np.int64,
)
_DWELL_MS_PER_STAR = 20_000
_MAX_STARS = 5.0

Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything the tables are made of.

    Attributes:
        seed: Seed of synthetic keys.
        first_day: First landed day.
        movies: The movies.
        title_I: [I] texts for people.
        text_ID: [I, text] float32.
        image_ID: [I, image] float32.
        cells: [U] demographics, merged.
        user_key_U: [U] uint64.
        device_U: [U] int64, synthetic device tier.
        reg_ts_U: [U] int64 epoch ms, first rating.
        events: Events in time order.
        predictions: Predictions, row by row as `events`.
        num_eligible_R: [R] int64, ads that could be shown at each ad rating.
        requests_NU: [N, U] int64, requests by day since the first.
        organic_NUC: [N, U, C] int64, organic events likewise.
    """

    seed: int
    first_day: date
    movies: Movies
    title_I: npt.NDArray[np.str_]
    text_ID: npt.NDArray[np.float32]
    image_ID: npt.NDArray[np.float32]
    cells: Cells
    user_key_U: Keys
    device_U: Ints
    reg_ts_U: Ints
    events: Events
    predictions: Predictions
    num_eligible_R: Ints
    requests_NU: Ints
    organic_NUC: Ints


def day_tables(facts: Facts, day: date) -> dict[str, pa.Table]:
    """Build all partitions of a day.

    Args:
        facts: What the tables are made of.
        day: Landing day; the first one also lands the whole catalog.

    Returns:
        Table name -> rows, all twelve.
    """
    start = day_start_ms(day)
    today = facts.events.day_R == start // DAY_MS
    shown = np.flatnonzero(today & facts.events.is_ad_R)
    read = np.flatnonzero(today & ~facts.events.is_ad_R)
    is_first = day == facts.first_day
    everything = np.arange(len(facts.movies.key_I))
    landing = everything if is_first else everything[:0]
    ads = landing[facts.movies.is_ad_I[landing]]
    content = landing[~facts.movies.is_ad_I[landing]]
    request_key = _keys(facts, "request", shown)
    impression_key = _keys(facts, "impression", shown)
    return {
        "users": _users(facts, start),
        "user_stats_daily": _user_stats(facts, start, (day - facts.first_day).days),
        "ads": _ads(facts, ads),
        "ad_versions": _ad_versions(facts, ads),
        "ad_spend_ledger": _ledger(facts, shown),
        "content": _content(facts, content),
        "embeddings": _embeddings(facts, landing),
        "requests": _requests(facts, shown, request_key),
        "impressions": _impressions(facts, shown, request_key, impression_key),
        "ad_events": _ad_events(facts, shown, impression_key),
        "organic_events": _organic(facts, read),
        "thoughts": TABLES["thoughts"].schema.empty_table(),
    }


def _keys(facts: Facts, purpose: str, rows: Ints) -> Keys:
    """Draw keys of events."""
    events = facts.events
    bits = keyed_hash(facts.seed, f"ml_{purpose}", events.user_R[rows], events.movie_R[rows])
    return np.asarray(np.maximum(bits >> np.uint64(1), np.uint64(1)))


def _users(facts: Facts, start: int) -> pa.Table:
    """List the people who rate for the first time."""
    rows = np.flatnonzero(facts.reg_ts_U // DAY_MS == start // DAY_MS)
    cells = facts.cells
    return make_table(
        "users",
        {
            "user_key": facts.user_key_U[rows],
            "valid_from": facts.reg_ts_U[rows],
            "valid_to": None,
            "age_bucket": cells.age_bucket[rows],
            "gender": cells.gender[rows],
            "geo_l1": cells.geo_l1[rows],
            "geo_l2": cells.geo_l2[rows],
            "device_tier": facts.device_U[rows],
            "consent": 1,
            "reg_ts": facts.reg_ts_U[rows],
        },
    )


def _user_stats(facts: Facts, start: int, number: int) -> pa.Table:
    """Summarize the 28 days before this one, for everybody registered by its end."""
    rows = np.flatnonzero(facts.reg_ts_U < start + DAY_MS)
    window = slice(max(number - _WINDOW_DAYS, 0), number)
    requests_U = facts.requests_NU[window][:, rows].sum(axis=0)
    organic_UC = facts.organic_NUC[window][:, rows].sum(axis=0)
    edges = np.quantile(requests_U, [0.2, 0.4, 0.6, 0.8]) if len(rows) else np.zeros(4)
    best_UT = np.argsort(-organic_UC, axis=1, kind="stable")[:, :_TOP_CATEGORIES]
    has_UT = np.take_along_axis(organic_UC, best_UT, axis=1) > 0
    return make_table(
        "user_stats_daily",
        {
            "user_key": facts.user_key_U[rows],
            "day_ts": start,
            "req_28d": requests_U,
            "org_28d": organic_UC.sum(axis=1),
            "activity_group": 1 + np.searchsorted(edges, requests_U, side="left"),
            "top_cats": ragged(has_UT, best_UT.astype(np.int16)),
        },
    )


def _ads(facts: Facts, rows: Ints) -> pa.Table:
    """List the movies that play ads."""
    movies = facts.movies
    return make_table(
        "ads",
        {
            "ad_key": movies.key_I[rows],
            "advertiser_key": 1 + movies.brand_I[rows],
            "campaign_key": 1 + movies.brand_I[rows] * 1000 + movies.category_I[rows],
            "creative_key": movies.key_I[rows],
            "product_key": movies.hash_I[rows],
            "cat_l1": movies.category_I[rows],
            "cat_l2": movies.subcategory_I[rows],
            "brand": movies.brand_I[rows],
            "conversion_type": 0,
            "content_hash": movies.hash_I[rows],
            "launch_ts": movies.launch_ts_I[rows],
            "emb_row": rows,
            "title": facts.title_I[rows],
        },
    )


def _ad_versions(facts: Facts, rows: Ints) -> pa.Table:
    """List the one version each ad has."""
    movies = facts.movies
    nowhere = np.zeros((len(rows), 1), dtype=np.int16)
    return make_table(
        "ad_versions",
        {
            "ad_key": movies.key_I[rows],
            "valid_from": movies.launch_ts_I[rows],
            "valid_to": None,
            "bid_type": movies.bid_type_I[rows],
            "bid_micros": movies.bid_micros_I[rows],
            "daily_budget_micros": _BUDGET_MICROS,
            "total_budget_micros": 100 * _BUDGET_MICROS,
            "status": int(AdStatus.ACTIVE),
            "age_mask": movies.age_mask_I[rows],
            "gender_mask": _ALL_GENDERS,
            "device_mask": _ALL_DEVICES,
            "geo_set": ragged(nowhere > 0, nowhere),
            "freq_cap_day": 1,
        },
    )


def _content(facts: Facts, rows: Ints) -> pa.Table:
    """List the movies that play organic content."""
    movies = facts.movies
    return make_table(
        "content",
        {
            "content_key": movies.key_I[rows],
            "kind": 0,
            "cat_l1": movies.category_I[rows],
            "cat_l2": movies.subcategory_I[rows],
            "topic_brand": movies.brand_I[rows],
            "author_key": 1 + movies.brand_I[rows],
            "publish_ts": movies.launch_ts_I[rows],
            "content_hash": movies.hash_I[rows],
            "emb_row": rows,
            "title": facts.title_I[rows],
        },
    )


def _embeddings(facts: Facts, rows: Ints) -> pa.Table:
    """List the vectors of the whole catalog."""
    return make_table(
        "embeddings",
        {
            "emb_row": rows,
            "x_text": vectors(facts.text_ID[rows]),
            "x_img": vectors(facts.image_ID[rows]),
            "encoder_version": ENCODER_VERSION,
            "encoded_ts": facts.movies.launch_ts_I[rows],
        },
    )


def _requests(facts: Facts, rows: Ints, request_key: Keys) -> pa.Table:
    """List the ad ratings as requests."""
    events = facts.events
    return make_table(
        "requests",
        {
            "request_key": request_key,
            "user_key": facts.user_key_U[events.user_R[rows]],
            "ts": events.ts_R[rows],
            "scene": 0,
            "position": events.position_R[rows],
            "placement": 0,
            "device": facts.device_U[events.user_R[rows]],
            "os": 0,
            "net": 0,
            "privacy": 0,
            "is_synthetic": False,
            "snapshot_id": None,
        },
    )


def _ecpm(facts: Facts, rows: Ints) -> npt.NDArray[np.float64]:
    """Compute the logged eCPM of ad ratings."""
    # The formula of objectives.final_value, which is a layer above; a test keeps the two equal.
    movie, predictions = facts.events.movie_R[rows], facts.predictions
    kind, bid = facts.movies.bid_type_I[movie], facts.movies.bid_micros_I[movie] / 1e6
    per_click = 1000.0 * predictions.p_ctr_R[rows].astype(np.float64) * bid
    per_conversion = per_click * predictions.p_cvr_R[rows].astype(np.float64)
    billed = np.where(kind == BidType.CPC, per_click, per_conversion)
    return np.asarray(np.where(kind == BidType.CPM, bid, billed))


def _prices(facts: Facts, rows: Ints) -> Ints:
    """Price each impression at a fixed share of its eCPM."""
    micros = np.round(_PRICE_SHARE * 1000.0 * _ecpm(facts, rows))
    return np.asarray(np.maximum(micros, 1.0), dtype=np.int64)


def _impressions(facts: Facts, rows: Ints, request_key: Keys, impression_key: Keys) -> pa.Table:
    """List the ad ratings as impressions; the propensity stands for an unknown policy."""
    events, movies, predictions = facts.events, facts.movies, facts.predictions
    movie = events.movie_R[rows]
    return make_table(
        "impressions",
        {
            "imp_key": impression_key,
            "request_key": request_key,
            "ad_key": movies.key_I[movie],
            "exposure_ts": events.ts_R[rows] + _EXPOSURE_MS,
            "price_micros": _prices(facts, rows),
            "bid_micros_at": movies.bid_micros_I[movie],
            "bid_type_at": movies.bid_type_I[movie],
            "p_ctr": predictions.p_ctr_R[rows],
            "p_cvr": predictions.p_cvr_R[rows],
            "p_neg": predictions.p_neg_R[rows],
            "ecpm_log": _ecpm(facts, rows),
            "policy_id": POLICY_ID,
            "propensity": (1.0 / facts.num_eligible_R[rows]).astype(np.float32),
            "n_eligible": facts.num_eligible_R[rows],
        },
    )


def _ledger(facts: Facts, rows: Ints) -> pa.Table:
    """List spending; the sums run over the whole past of each ad."""
    events = facts.events
    past = np.flatnonzero(events.is_ad_R & (events.day_R <= events.day_R[rows].max(initial=0)))
    price = _prices(facts, past)
    order = np.lexsort((past, events.movie_R[past]))
    movie, day, sums = events.movie_R[past][order], events.day_R[past][order], price[order].cumsum()
    new_ad = np.r_[True, np.diff(movie) != 0][: len(past)]
    new_day = new_ad | np.r_[True, np.diff(day) != 0][: len(past)]
    place = np.arange(len(past))
    before = sums - price[order]
    total, today = np.empty(len(past), dtype=np.int64), np.empty(len(past), dtype=np.int64)
    total[order] = sums - before[np.maximum.accumulate(np.where(new_ad, place, 0))]
    today[order] = sums - before[np.maximum.accumulate(np.where(new_day, place, 0))]
    now = np.searchsorted(past, rows)
    return make_table(
        "ad_spend_ledger",
        {
            "ad_key": facts.movies.key_I[events.movie_R[rows]],
            "ts": events.ts_R[rows] + _EXPOSURE_MS,
            "seq": np.arange(len(rows)),
            "delta_micros": price[now],
            "cum_day_micros": today[now],
            "cum_total_micros": total[now],
        },
    )


def _ad_events(facts: Facts, rows: Ints, impression_key: Keys) -> pa.Table:
    """List clicks (4 and 5 stars) and conversions (5 stars)."""
    events = facts.events
    clicked = events.rating_R[rows] >= CLICK_RATING
    bought = events.rating_R[rows] >= CONVERSION_RATING
    kinds = np.r_[
        np.full(int(clicked.sum()), int(AdEventType.CLICK)),
        np.full(int(bought.sum()), int(AdEventType.CONVERSION)),
    ]
    source = np.r_[rows[clicked], rows[bought]]
    delay = np.where(kinds == AdEventType.CLICK, _CLICK_MS, _CONVERSION_MS)
    event_ts = events.ts_R[source] + delay
    event_key = np.r_[_keys(facts, "click", rows[clicked]), _keys(facts, "buy", rows[bought])]
    bid = facts.movies.bid_micros_I[events.movie_R[source]]
    order = np.lexsort((event_key, event_ts))
    return make_table(
        "ad_events",
        {
            "ev_key": event_key[order],
            "imp_key": np.r_[impression_key[clicked], impression_key[bought]][order],
            "type": kinds[order],
            "event_ts": event_ts[order],
            "ingest_ts": event_ts[order],
            "value_micros": np.where(kinds == AdEventType.CONVERSION, bid, 0)[order],
        },
    )


def _organic(facts: Facts, rows: Ints) -> pa.Table:
    """List the ratings of content movies as organic events."""
    events = facts.events
    stars = events.rating_R[rows]
    return make_table(
        "organic_events",
        {
            "ev_key": _keys(facts, "organic", rows),
            "user_key": facts.user_key_U[events.user_R[rows]],
            "content_key": facts.movies.key_I[events.movie_R[rows]],
            "ts": events.ts_R[rows],
            "ingest_ts": events.ts_R[rows],
            "action": _ACTION_OF_RATING[stars],
            "dwell_ms": _DWELL_MS_PER_STAR * stars,
            "completion": (stars / _MAX_STARS).astype(np.float32),
        },
    )
