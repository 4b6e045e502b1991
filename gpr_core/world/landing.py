"""Turns a day of the world into the twelve lake tables.

Only what a platform would see is in here; nothing of the oracle.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.data.table_columns import make_table, ragged, vectors
from gpr_core.data.tables import DAY_MS, HOUR_MS, TABLES
from gpr_core.world.day import EXPOSURE_LATENCY_MS, DayLog, World, landed
from gpr_core.world.economics import NEVER_HOUR, Market, MarketDay, bid_types, launch_ts
from gpr_core.world.state import WorldState
from gpr_core.world.taxonomy import Ints, observe, positive_keys
from gpr_core.world.titles import ad_titles, content_titles

POLICY_ID = "cascade-1"
ENCODER_VERSION = "world-encoder-1"

_TOP_CATEGORIES = 3


def day_tables(
    world: World,
    morning: WorldState,
    log: DayLog,
    day: int,
    *,
    published: tuple[int, int],
    changed_U: npt.NDArray[np.bool_] | None,
) -> dict[str, pa.Table]:
    """Build all partitions of a day.

    Args:
        world: What is fixed.
        morning: State of the morning, with the devices and consents of the day.
        log: What happened.
        day: Day ordinal.
        published: Organic items published before and by the end of this day.
        changed_U: [U] bool, whose profile changed over night; None on the first day, when
            everything that exists already lands.

    Returns:
        Table name -> rows, all twelve.
    """
    is_first = changed_U is None
    new_ads = np.flatnonzero(log.market.is_new_A | is_first)
    new_content = np.arange(0 if is_first else published[0], published[1])
    organic, events = landed(morning, log, day)
    return {
        "users": _users(world, morning, day, changed_U),
        "user_stats_daily": _user_stats(world, morning, day),
        "ads": _ads(world, new_ads),
        "ad_versions": _ad_versions(world, log.market, day, new_ads),
        "ad_spend_ledger": _ledger(world, log),
        "content": _content(world, new_content, day),
        "embeddings": _embeddings(world, new_ads, new_content, day),
        "requests": _requests(world, log),
        "impressions": _impressions(world, log),
        "ad_events": make_table(
            "ad_events",
            {
                "ev_key": events.key_Q,
                "imp_key": events.impression_Q,
                "type": events.type_Q,
                "event_ts": events.ts_Q,
                "ingest_ts": events.ingest_ts_Q,
                "value_micros": events.value_Q,
            },
        ),
        "organic_events": make_table(
            "organic_events",
            {
                "ev_key": organic.key_E,
                "user_key": world.population.key_U[organic.user_E],
                "content_key": world.content.key_A[organic.item_E],
                "ts": organic.ts_E,
                "ingest_ts": organic.ingest_ts_E,
                "action": organic.action_E,
                "dwell_ms": organic.dwell_ms_E,
                "completion": organic.completion_E.astype(np.float32),
            },
        ),
        "thoughts": TABLES["thoughts"].schema.empty_table(),
    }


def publish_ts(world: World, item: Ints, day: int) -> Ints:
    """Give when organic items were published.

    Args:
        world: What is fixed.
        item: [M] int64, rows of the items that land on this day.
        day: Day ordinal.

    Returns:
        [M] int64 epoch ms: on the day, or up to 60 days before the first one.
    """
    size = world.config.num_content
    age_ms = HOUR_MS * (1 + (item * 7919) % (60 * 24))
    return np.where(item < size, day * DAY_MS - age_ms, day * DAY_MS + (item % 24) * HOUR_MS)


def _users(
    world: World, morning: WorldState, day: int, changed_U: npt.NDArray[np.bool_] | None
) -> pa.Table:
    """List new user versions: everybody on the first day, then those that changed."""
    people, cells = world.population, world.population.cells
    rows = np.arange(len(people.key_U)) if changed_U is None else np.flatnonzero(changed_U)
    start = np.full(len(rows), day * DAY_MS, dtype=np.int64)
    return make_table(
        "users",
        {
            "user_key": people.key_U[rows],
            "valid_from": people.reg_ts_U[rows] if changed_U is None else start,
            "valid_to": None,
            "age_bucket": cells.age_bucket[rows],
            "gender": cells.gender[rows],
            "geo_l1": cells.geo_l1[rows],
            "geo_l2": cells.geo_l2[rows],
            "device_tier": morning.device_U[rows],
            "consent": morning.consent_U[rows],
            "reg_ts": people.reg_ts_U[rows],
        },
    )


def _user_stats(world: World, morning: WorldState, day: int) -> pa.Table:
    """Summarize the last 28 days of each user, as known when the day begins."""
    requests_U = morning.requests_WU.sum(axis=0)
    organic_UC = morning.organic_WUC.sum(axis=0)
    edges = np.quantile(requests_U, [0.2, 0.4, 0.6, 0.8])
    best_UT = np.argsort(-organic_UC, axis=1, kind="stable")[:, :_TOP_CATEGORIES]
    has_UT = np.take_along_axis(organic_UC, best_UT, axis=1) > 0
    return make_table(
        "user_stats_daily",
        {
            "user_key": world.population.key_U,
            "day_ts": np.full(len(requests_U), day * DAY_MS, dtype=np.int64),
            "req_28d": requests_U,
            "org_28d": organic_UC.sum(axis=1),
            "activity_group": 1 + np.searchsorted(edges, requests_U, side="left"),
            "top_cats": ragged(has_UT, best_UT.astype(np.int16)),
        },
    )


def _ads(world: World, rows: Ints) -> pa.Table:
    """List the immutable part of new ads."""
    ads, seed = world.ads, world.config.seed
    brand = ads.brand_A[rows]
    return make_table(
        "ads",
        {
            "ad_key": ads.key_A[rows],
            "advertiser_key": positive_keys(seed, "advertiser", brand),
            "campaign_key": positive_keys(seed, "campaign", brand, ads.product_A[rows] % 2),
            "creative_key": positive_keys(seed, "creative_key", rows),
            "product_key": positive_keys(seed, "product_key", ads.product_A[rows]),
            "cat_l1": ads.category_A[rows],
            "cat_l2": ads.products.subcategory_P[ads.product_A[rows]],
            "brand": brand,
            "conversion_type": ads.category_A[rows] % 3,
            "content_hash": ads.hash_A[rows],
            "launch_ts": launch_ts(world.config, len(ads.key_A))[rows],
            "emb_row": 2 * rows,
            "title": ad_titles(seed, ads, rows),
        },
    )


def _ad_versions(world: World, market: MarketDay, day: int, new_ads: Ints) -> pa.Table:
    """List the versions that begin on this day: first ones of new ads, then changes."""
    changed = np.flatnonzero(market.change_hour_A < NEVER_HOUR)
    launched = launch_ts(world.config, len(market.is_new_A))[new_ads]
    changed_ts = day * DAY_MS + market.change_hour_A[changed] * HOUR_MS
    parts = [
        _version_rows(world, market.before, new_ads, launched),
        _version_rows(world, market.after, changed, changed_ts),
    ]
    return pa.concat_tables(parts).combine_chunks()


def _version_rows(world: World, market: Market, rows: Ints, start_ts: Ints) -> pa.Table:
    """List ad versions."""
    targeting = world.targeting
    geo_MG = targeting.geo_ok_GA[1:, rows].T & ~targeting.is_everywhere_A[rows, None]
    cities = np.broadcast_to(np.arange(1, geo_MG.shape[1] + 1, dtype=np.int16), geo_MG.shape)
    return make_table(
        "ad_versions",
        {
            "ad_key": world.ads.key_A[rows],
            "valid_from": start_ts,
            "valid_to": None,
            "bid_type": bid_types(world.config, len(world.ads.key_A))[rows],
            "bid_micros": market.bid_micros_A[rows],
            "daily_budget_micros": market.daily_budget_A[rows],
            "total_budget_micros": market.total_budget_A[rows],
            "status": market.status_A[rows],
            "age_mask": targeting.age_mask_A[rows],
            "gender_mask": targeting.gender_mask_A[rows],
            "device_mask": targeting.device_mask_A[rows],
            "geo_set": ragged(geo_MG, cities),
            "freq_cap_day": targeting.freq_cap_A[rows],
        },
    )


def _ledger(world: World, log: DayLog) -> pa.Table:
    """List the spending of the day, one row per impression."""
    served = log.served
    return make_table(
        "ad_spend_ledger",
        {
            "ad_key": world.ads.key_A[served.ad_M],
            "ts": log.requests.ts_B[served.row_M] + EXPOSURE_LATENCY_MS,
            "seq": np.arange(len(served.row_M)),
            "delta_micros": served.price_M,
            "cum_day_micros": served.spent_day_M,
            "cum_total_micros": served.spent_total_M,
        },
    )


def _content(world: World, rows: Ints, day: int) -> pa.Table:
    """List new organic items."""
    content = world.content
    return make_table(
        "content",
        {
            "content_key": content.key_A[rows],
            "kind": content.kind_A[rows],
            "cat_l1": content.category_A[rows],
            "cat_l2": content.subcategory_A[rows],
            "topic_brand": content.brand_A[rows],
            "author_key": positive_keys(world.config.seed, "author", rows // 5),
            "publish_ts": publish_ts(world, rows, day),
            "content_hash": content.hash_A[rows],
            "emb_row": 2 * rows + 1,
            "title": content_titles(world.config.seed, content, rows),
        },
    )


def _embeddings(world: World, ad_rows: Ints, content_rows: Ints, day: int) -> pa.Table:
    """List the observed embeddings of new ads and organic items."""
    ads, content = world.ads, world.content
    latents = np.concatenate([ads.latent_AD[ad_rows], content.latent_AD[content_rows]])
    hashes = np.concatenate([ads.hash_A[ad_rows], content.hash_A[content_rows]])
    text, image = observe(world.config, latents, hashes)
    launched = launch_ts(world.config, len(ads.key_A))[ad_rows]
    return make_table(
        "embeddings",
        {
            "emb_row": np.r_[2 * ad_rows, 2 * content_rows + 1],
            "x_text": vectors(text),
            "x_img": vectors(image),
            "encoder_version": ENCODER_VERSION,
            "encoded_ts": np.r_[launched, publish_ts(world, content_rows, day)],
        },
    )


def _requests(world: World, log: DayLog) -> pa.Table:
    """List the requests of the day."""
    requests = log.requests
    return make_table(
        "requests",
        {
            "request_key": requests.key_B,
            "user_key": world.population.key_U[requests.user_B],
            "ts": requests.ts_B,
            "scene": requests.scene_B,
            "position": requests.position_B,
            "placement": requests.placement_B,
            "device": requests.device_B,
            "os": requests.os_B,
            "net": requests.net_B,
            "privacy": requests.privacy_B,
            "is_synthetic": False,
            "snapshot_id": None,
        },
    )


def _impressions(world: World, log: DayLog) -> pa.Table:
    """List the impressions of the day."""
    served, requests = log.served, log.requests
    return make_table(
        "impressions",
        {
            "imp_key": log.impression_key_M,
            "request_key": requests.key_B[served.row_M],
            "ad_key": world.ads.key_A[served.ad_M],
            "exposure_ts": requests.ts_B[served.row_M] + EXPOSURE_LATENCY_MS,
            "price_micros": served.price_M,
            "bid_micros_at": served.bid_M,
            "bid_type_at": served.bid_type_M,
            "p_ctr": served.predicted.p_ctr,
            "p_cvr": served.predicted.p_cvr,
            "p_neg": served.predicted.p_neg,
            "ecpm_log": served.ecpm_M,
            "policy_id": POLICY_ID,
            "propensity": served.propensity_M.astype(np.float32),
            "n_eligible": served.num_eligible_M,
        },
    )
