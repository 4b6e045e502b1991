"""A small corpus with a known click rule, for tests of the simulator and of HEPO.

Users like one category; an ad of that category is clicked half the time, any other one in a
twentieth. Half of the clicks convert. Ads of category c have paths that begin with code c.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.catalog.bundle import load_catalog, save_catalog
from gpr_core.data.decisions import DECISIONS_SCHEMA
from gpr_core.data.tables import (
    DAY_MS,
    HOUR_MS,
    TABLES,
    Action,
    ItemKind,
    TokenKind,
    sid_map_schema,
)
from gpr_core.features.timeline import FIELD_COLUMNS, ORDER_COLUMNS, TIMELINE_SCHEMA

NUM_CATEGORIES = 4
SIZES = (NUM_CATEGORIES, 4, 4)
START = 20_000 * DAY_MS
NUM_DAYS = 10
CUTOFF = START + NUM_DAYS * DAY_MS
TOKENIZER_VERSION = "tokenizer-of-the-test"


class SmallCorpus(NamedTuple):
    folder: object
    catalog: object
    sid_map: pa.Table
    decisions: pa.Table
    timelines: pa.Table


def make_corpus(folder, *, num_users=40, num_ads=48, per_day=4, seed=0):
    """Build tables and the catalog on disk."""
    rng = np.random.default_rng(seed)
    ad_key = np.arange(1, num_ads + 1)
    category = np.arange(num_ads) % NUM_CATEGORIES
    path = np.stack([category, *rng.integers(0, 4, (2, num_ads))], axis=1)
    sid_map = make_sid_map(ad_key, path)
    ads, versions = make_ads(ad_key, category)
    save_catalog(
        folder / "catalog", sid_map, ads, versions, codebook_sizes=SIZES,
        tokenizer_version=TOKENIZER_VERSION,
    )  # fmt: skip
    catalog = load_catalog(folder / "catalog", tokenizer_version=TOKENIZER_VERSION)
    count = num_users * NUM_DAYS * per_day
    user = np.repeat(np.arange(1, num_users + 1), NUM_DAYS * per_day)
    day = np.tile(np.repeat(np.arange(NUM_DAYS), per_day), num_users)
    ts = START + day * DAY_MS + rng.integers(0, 22 * HOUR_MS, count)
    ad = rng.integers(1, num_ads + 1, count)
    liked = user % NUM_CATEGORIES
    chance = np.where(category[ad - 1] == liked, 0.5, 0.05)
    action = np.where(rng.random(count) < chance, int(Action.CLICK), int(Action.IMPRESSION))
    converts = (action == Action.CLICK) & (rng.random(count) < 0.5)
    action[converts] = int(Action.CONVERSION)
    request = np.arange(1, count + 1) + 1000
    decisions = make_decisions(request, user, ts, ad, action, ads, versions, rng)
    timelines = make_timelines(request, user, ts, ad, action, liked, category)
    for name, table in {"decisions": decisions, "timelines": timelines}.items():
        pq.write_table(table, folder / f"{name}.parquet")
    return SmallCorpus(folder, catalog, sid_map, decisions, timelines)


def make_sid_map(ad_key, path):
    """Give every ad its path and content 1..4 the paths of its category."""
    content = np.arange(1, NUM_CATEGORIES + 1)
    content_path = np.stack([content - 1, content * 0, content * 0], axis=1)
    kinds = np.repeat([int(ItemKind.AD), int(ItemKind.CONTENT)], [len(ad_key), NUM_CATEGORIES])
    codes = np.concatenate([path, content_path])
    columns = {
        "item_kind": kinds,
        "item_key": np.concatenate([ad_key, content]),
        **{f"c{level + 1}": codes[:, level] for level in range(3)},
        "quant_err": np.zeros(len(kinds)),
        "leaf_rank": np.zeros(len(kinds), np.int64),
        "tokenizer_version": [TOKENIZER_VERSION] * len(kinds),
    }
    return cast(columns, sid_map_schema(3))


def make_ads(ad_key, category):
    """Every ad is active and pays per click, category 0 most; a third ask for gender 1."""
    count = len(ad_key)
    ads = {field.name: np.zeros(count, np.int64) for field in TABLES["ads"].schema}
    ads |= {"ad_key": ad_key, "cat_l1": category, "brand": category * 2, "advertiser_key": ad_key}
    versions = {field.name: np.zeros(count, np.int64) for field in TABLES["ad_versions"].schema}
    versions |= {
        "ad_key": ad_key,
        "valid_to": [None] * count,
        "bid_type": np.ones(count, np.int64),
        "bid_micros": np.where(category == 0, 80_000, 20_000),
        "daily_budget_micros": np.full(count, 10**12),
        "total_budget_micros": np.full(count, 10**15),
        "age_mask": np.full(count, 255),
        "gender_mask": np.where(ad_key % 3 == 0, 2, 255),
        "device_mask": np.full(count, 255),
        "geo_set": [[] for _ in range(count)],
        "freq_cap_day": np.full(count, 100),
    }
    return cast(ads, TABLES["ads"].schema), cast(versions, TABLES["ad_versions"].schema)


def make_decisions(request, user, ts, ad, action, ads, versions, rng):
    """One row per request, sorted by time."""
    count = len(request)
    columns = {field.name: np.zeros(count, np.int64) for field in DECISIONS_SCHEMA}
    columns |= {
        "request_key": request,
        "user_key": user,
        "ts": ts,
        "ad_key": ad,
        "gender": 1 + user % 2,
        "scene": rng.integers(0, 3, count),
        "consent": np.ones(count, np.int64),
        "price_micros": np.full(count, 1000),
        "bid_type": versions["bid_type"].to_numpy()[ad - 1],
        "bid_micros": versions["bid_micros"].to_numpy()[ad - 1],
        "p_ctr": np.full(count, 0.15),
        "p_cvr": np.full(count, 0.5),
        "p_neg": np.full(count, 0.01),
        "ecpm": np.full(count, 1.0),
        "propensity": np.full(count, 0.1),
        "n_eligible": np.full(count, 10),
        "action": action,
        "is_hide": rng.random(count) < 0.02,
        "is_synthetic": np.zeros(count, bool),
    }
    return cast(columns, DECISIONS_SCHEMA).sort_by(
        [("ts", "ascending"), ("request_key", "ascending")]
    )


def make_timelines(request, user, ts, ad, action, liked, category):
    """An organic view, the request, the impression and its outcomes, for every request."""
    users = np.unique(user)
    first = users * 0
    environment = {"request_key": request, "f0": 1 + user * 0, "f6": 1 + ts // HOUR_MS % 24}
    item = {"item_kind": int(ItemKind.AD), "item_key": ad, "request_key": request}
    item |= {"f4": category[ad - 1] + 1, "f5": category[ad - 1] * 2 + 1}
    organic = {"item_kind": int(ItemKind.CONTENT), "item_key": liked + 1, "f4": liked + 1, "f5": 1}
    parts = [
        tokens(users, first + START, TokenKind.USER, 0, {"f1": 1 + users % 2}),
        tokens(user, ts - 60_000, TokenKind.ORGANIC, request, organic),
        tokens(user, ts, TokenKind.ENVIRONMENT, request, environment),
        tokens(user, ts + 1_000, TokenKind.ITEM, request, item),
    ]
    for level, delay in ((Action.CLICK, 2_000), (Action.CONVERSION, HOUR_MS)):
        rows = action >= level
        outcome = {name: np.broadcast_to(value, user.shape)[rows] for name, value in item.items()}
        outcome |= {"action": int(level), "f0": int(level) + 1}
        key = request[rows] + 10**6 * int(level)
        parts.append(tokens(user[rows], ts[rows] + delay, TokenKind.ITEM, key, outcome))
    table = pa.concat_tables(parts)
    return table.sort_by([(name, "ascending") for name in ORDER_COLUMNS]).combine_chunks()


def tokens(user, ts, kind, order_key, values):
    """Lay tokens out in the timeline schema."""
    columns = {field.name: np.zeros(len(user), np.int64) for field in TIMELINE_SCHEMA}
    columns |= {"user_key": user, "ts": ts, "kind": int(kind), "order_key": order_key}
    columns |= {"ingest_ts": ts, **values}
    columns = {name: np.broadcast_to(value, np.shape(user)) for name, value in columns.items()}
    assert set(FIELD_COLUMNS) <= set(columns)
    return cast(columns, TIMELINE_SCHEMA)


def cast(columns, schema):
    """Cast columns to a schema."""
    arrays = [pa.array(columns[field.name]).cast(field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
