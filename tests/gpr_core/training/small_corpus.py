"""A small corpus with something to learn: every user likes two of four categories."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.bundle import save_catalog
from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import (
    DAY_MS,
    HOUR_MS,
    TABLES,
    ItemKind,
    TokenKind,
    sid_map_schema,
)
from gpr_core.objectives.value_weights import (
    LoggedValue,
    ValueWeightConstants,
    ValueWeightRule,
    fit_value_weights,
    value_weights,
)
from gpr_core.support.files import write_json
from gpr_core.training.examples import CatalogView, CorpusTables
from tests.thoughts import make_thoughts

CODEBOOK_SIZES = (4, 3, 3)
CUTOFF_TS = 20 * DAY_MS
NUM_USERS, NUM_ADS, NUM_CONTENTS = 12, 24, 12
FIRST_DAY, LAST_DAY = 10, 19


class SmallCorpus(NamedTuple):
    """Tables and catalog of the small corpus."""

    tables: CorpusTables
    catalog: CatalogView
    ads: pa.Table
    ad_versions: pa.Table


def make_small_corpus(
    *, requests_per_day: int = 3, seed: int = 0, alternates: bool = False
) -> SmallCorpus:
    """Draw users, ads, timelines and decisions; with `alternates`, interests take turns."""
    rng = np.random.Generator(np.random.PCG64(seed))
    codes_AL = np.stack(
        [np.arange(NUM_ADS) % 4, np.arange(NUM_ADS) // 4 % 3, np.arange(NUM_ADS) // 12], axis=1
    )
    ads, versions = make_ads(NUM_ADS), make_versions(NUM_ADS)
    trie = Trie.build(codes_AL.astype(np.int16), ads["ad_key"].to_numpy(), CODEBOOK_SIZES)
    sid_map = make_sid_map(codes_AL)
    decisions = make_decisions(rng, codes_AL, requests_per_day, alternates)
    timelines = make_timelines(rng, decisions)
    weights, _ = make_value_weights(decisions)
    catalog = CatalogView(sid_map, trie, AdTable.build(ads, versions, trie))
    return SmallCorpus(CorpusTables(timelines, decisions, weights), catalog, ads, versions)


def make_ads(num_ads: int) -> pa.Table:
    """Ads 1..A, all launched on day 1."""
    values = {name: np.ones(num_ads) for name in TABLES["ads"].schema.names}
    values["ad_key"] = np.arange(1, num_ads + 1)
    values |= {"launch_ts": np.full(num_ads, DAY_MS), "title": [""] * num_ads}
    return to_table("ads", values)


def make_versions(num_ads: int) -> pa.Table:
    """One active version per ad, open to everyone."""
    values = {name: np.ones(num_ads) for name in TABLES["ad_versions"].schema.names}
    values |= {
        "ad_key": np.arange(1, num_ads + 1),
        "valid_from": np.full(num_ads, DAY_MS),
        "valid_to": [None] * num_ads,
        "bid_micros": np.full(num_ads, 2_000_000),
        "status": np.zeros(num_ads),
        "age_mask": np.full(num_ads, 255),
        "gender_mask": np.full(num_ads, 255),
        "device_mask": np.full(num_ads, 255),
        "geo_set": [[]] * num_ads,
    }
    return to_table("ad_versions", values)


def to_table(name: str, values: dict[str, object]) -> pa.Table:
    """Cast columns to the schema of a lake table."""
    schema = TABLES[name].schema
    columns = []
    for field in schema:
        value = values[field.name]
        if isinstance(value, np.ndarray):
            value = value.astype(field.type.to_pandas_dtype())
        columns.append(pa.array(value, type=field.type))
    return pa.table(columns, schema=schema)


def make_sid_map(codes_AL: np.ndarray) -> pa.Table:
    """Codes of ads 1..A, and of content 1..C, whose level-1 code is its key modulo 4."""
    content = np.arange(1, NUM_CONTENTS + 1)
    content_codes = np.stack([content % 4, content % 3, content * 0], axis=1)
    codes = np.concatenate([codes_AL, content_codes]).astype(np.int16)
    num_ads = len(codes_AL)
    return pa.table(
        {
            "item_kind": pa.array(
                np.repeat([ItemKind.AD, ItemKind.CONTENT], [num_ads, NUM_CONTENTS]).astype(np.int8)
            ),
            "item_key": pa.array(
                np.concatenate([np.arange(1, num_ads + 1), content]).astype(np.uint64)
            ),
            "c1": codes[:, 0],
            "c2": codes[:, 1],
            "c3": codes[:, 2],
            "quant_err": pa.array(np.zeros(len(codes), np.float32)),
            "leaf_rank": pa.array(np.zeros(len(codes), np.int16)),
            "tokenizer_version": pa.array(["test"] * len(codes)),
        },
        schema=sid_map_schema(3),
    )


def make_decisions(
    rng: np.random.Generator, codes_AL: np.ndarray, requests_per_day: int, alternates: bool
) -> pa.Table:
    """Exposed requests: a user sees ads of the two categories it likes."""
    days = np.arange(FIRST_DAY, LAST_DAY + 1)
    shape = (NUM_USERS, days.size, requests_per_day)
    user = np.broadcast_to(np.arange(1, NUM_USERS + 1)[:, None, None], shape).ravel()
    start = np.broadcast_to(days[None, :, None] * DAY_MS, shape).ravel()
    ts = start + rng.permutation(user.size) * (20 * HOUR_MS // user.size)
    order = np.argsort(ts)
    user, ts = user[order], ts[order]
    thread = rng.integers(0, 2, user.size)
    if alternates:
        place = np.array([(user[:row] == user[row]).sum() for row in range(user.size)])
        thread = place % 2
    category = (user + thread) % 4
    ad = np.array([rng.choice(np.flatnonzero(codes_AL[:, 0] == liked)) for liked in category])
    num = user.size
    clicks = rng.uniform(size=num) < 0.2
    small = {
        name: pa.array(np.ones(num, np.int8))
        for name in ("age_bucket", "gender", "device", "placement", "privacy", "geo_l1", "geo_l2")
    }
    return pa.table(
        {
            "request_key": pa.array(np.arange(1001, 1001 + num).astype(np.uint64)),
            "user_key": pa.array(user.astype(np.uint64)),
            "ts": pa.array(ts),
            "ad_key": pa.array((ad + 1).astype(np.uint64)),
            **small,
            "ecpm": pa.array(rng.uniform(1, 9, num)),
            "p_ctr": pa.array(rng.uniform(0.01, 0.05, num).astype(np.float32)),
            "p_cvr": pa.array(rng.uniform(0.01, 0.05, num).astype(np.float32)),
            "p_neg": pa.array(rng.uniform(0.001, 0.005, num).astype(np.float32)),
            "bid_type": pa.array(rng.integers(0, 3, num).astype(np.int8)),
            "action": pa.array(clicks.astype(np.int8)),
            "is_hide": pa.array(np.zeros(num, bool)),
            "is_synthetic": pa.array(np.zeros(num, bool)),
        }
    )


def say_favorites() -> pa.Table:
    """A thought about every user on every day, the number of its favorite category."""
    days = range(FIRST_DAY, LAST_DAY + 1)
    users = range(1, NUM_USERS + 1)
    return make_thoughts(*[(user, day, [1 + user % 4, 100]) for user in users for day in days])


def make_value_weights(decisions: pa.Table) -> tuple[pa.Table, ValueWeightConstants]:
    """Weights as curation makes them."""
    names = ("action", "bid_type", "ecpm", "p_ctr", "p_cvr")
    logged = LoggedValue(*(decisions[name].to_numpy() for name in names))
    constants = fit_value_weights(logged, ValueWeightRule())
    omega = value_weights(logged, constants)
    table = pa.table(
        {
            "request_key": decisions["request_key"],
            "action": decisions["action"],
            "omega": pa.array(omega.astype(np.float32)),
        }
    )
    return table, constants


def write_small_corpus(root: Path, corpus: SmallCorpus) -> dict[str, Path]:
    """Write the three artifacts that the supervised steps read; name -> folder."""
    folders = {name: root / name for name in ("corpus", "tokenizer", "catalog")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    tables = {name: rows for name, rows in corpus.tables._asdict().items() if rows is not None}
    for name, table in tables.items():
        pq.write_table(table, folders["corpus"] / f"{name}.parquet")
    _, constants = make_value_weights(corpus.tables.decisions)
    constants.save(folders["corpus"] / "value_weights.json")
    write_json(folders["tokenizer"] / "tokenizer.json", {"version": "test"})
    pq.write_table(corpus.catalog.sid_map, folders["tokenizer"] / "sid_map.parquet")
    save_catalog(
        folders["catalog"],
        corpus.catalog.sid_map,
        corpus.ads,
        corpus.ad_versions,
        codebook_sizes=CODEBOOK_SIZES,
        tokenizer_version="test",
    )
    return folders


def make_timelines(rng: np.random.Generator, decisions: pa.Table) -> pa.Table:
    """One U token per user, one O token and the E and I tokens of each request."""
    user = decisions["user_key"].to_numpy().astype(np.int64)
    ts = decisions["ts"].to_numpy()
    ad = decisions["ad_key"].to_numpy().astype(np.int64)
    request = decisions["request_key"].to_numpy().astype(np.int64)
    users = np.unique(user)
    zero = np.zeros_like(user)
    content = (user + rng.integers(0, 2, user.size)) % 4 + 4
    blocks = [
        (users, users * 0, TokenKind.USER, ItemKind.NONE, users * 0, users * 0),
        (user, ts - 60_000, TokenKind.ORGANIC, ItemKind.CONTENT, content, zero),
        (user, ts, TokenKind.ENVIRONMENT, ItemKind.NONE, zero, request),
        (user, ts + 1_000, TokenKind.ITEM, ItemKind.AD, ad, request),
    ]
    columns = {
        "user_key": np.concatenate([block[0] for block in blocks]).astype(np.uint64),
        "ts": np.concatenate([block[1] for block in blocks]),
        "kind": np.concatenate([np.full(block[0].size, block[2], np.int8) for block in blocks]),
        "item_kind": np.concatenate(
            [np.full(block[0].size, block[3], np.int8) for block in blocks]
        ),
        "item_key": np.concatenate([block[4] for block in blocks]).astype(np.uint64),
        "request_key": np.concatenate([block[5] for block in blocks]).astype(np.uint64),
    }
    order = np.lexsort((columns["kind"], columns["ts"], columns["user_key"]))
    table = {name: values[order] for name, values in columns.items()}
    fields = {f"f{idx}": np.ones(order.size, np.int16) for idx in range(4)}
    fields |= {f"f{idx}": np.zeros(order.size, np.int16) for idx in range(4, 8)}
    return pa.table(table | fields)
