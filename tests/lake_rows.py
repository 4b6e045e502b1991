"""Lake tables for tests, written row by row or drawn at random."""

import numpy as np
import pyarrow as pa

from gpr_core.data.curation import CURATED_TABLES
from gpr_core.data.days import day_of_ms
from gpr_core.data.lake import Lake
from gpr_core.data.tables import DAY_MS, HOUR_MS, TABLES
from gpr_core.support.seeding import numpy_stream

DAY_0 = 1_767_225_600_000  # 2026-01-01, a Thursday
MINUTE_MS = 60_000
WIDTH = 4


def make_table(name, *rows):
    """Build one lake table; columns that a row leaves out are zero, empty or null."""
    schema = TABLES[name].schema
    full = [{field.name: row.get(field.name, _zero(field)) for field in schema} for row in rows]
    for row in rows:
        assert row.keys() <= set(schema.names), f"unknown column in {sorted(row)}"
    return pa.Table.from_pylist(full, schema=schema)


def make_lake_tables(**rows):
    """Build all curated tables; those not named are empty."""
    return {name: make_table(name, *rows.get(name, ())) for name in CURATED_TABLES}


def make_small_lake(**changes):
    """One consenting person, one ad, one organic item, two requests on two days.

    Named tables are replaced by the given rows.
    """
    rows = {
        "users": [
            {"user_key": 1, "valid_from": DAY_0, "age_bucket": 3, "gender": 2, "geo_l1": 4}
            | {"geo_l2": 9, "device_tier": 1, "consent": 1}
        ],
        "user_stats_daily": [
            {"user_key": 1, "day_ts": DAY_0 + DAY_MS, "activity_group": 5, "top_cats": [7, 2]}
        ],
        "ads": [
            {"ad_key": 21, "cat_l1": 3, "brand": 7, "launch_ts": DAY_0, "content_hash": 1}
            | {"emb_row": 0, "advertiser_key": 1}
        ],
        "ad_versions": [{"ad_key": 21, "valid_from": DAY_0, "bid_micros": 5, "age_mask": 127}],
        "content": [
            {"content_key": 11, "kind": 2, "cat_l1": 2, "topic_brand": 5, "content_hash": 2}
            | {"publish_ts": DAY_0, "emb_row": 1}
        ],
        "embeddings": [make_embedding(0, [1, 0, 0, 0]), make_embedding(1, [0, 1, 0, 0])],
        "requests": [
            make_request(41, ts=DAY_0 + 2 * HOUR_MS),
            make_request(42, ts=DAY_0 + DAY_MS + 2 * HOUR_MS),
        ],
        "impressions": [
            make_impression(51, request=41, ts=DAY_0 + 2 * HOUR_MS + 1000),
            make_impression(52, request=42, ts=DAY_0 + DAY_MS + 2 * HOUR_MS + 1000),
        ],
        "ad_events": [make_ad_event(61, imp=51, kind=1, ts=DAY_0 + 2 * HOUR_MS + 5000)],
        "organic_events": [make_organic_event(31, ts=DAY_0 + HOUR_MS)],
    }
    return make_lake_tables(**(rows | changes))


def make_embedding(row, values):
    """Build a row of the table embeddings: half text, half image."""
    half = len(values) // 2
    return {"emb_row": row, "x_text": values[:half], "x_img": values[half:]} | {
        "encoder_version": "v1",
        "encoded_ts": DAY_0,
    }


def make_request(key, *, ts, user=1, privacy=0):
    """Build a row of the table requests."""
    context = {"scene": 1, "position": 2, "placement": 3, "device": 1, "os": 0, "net": 2}
    return {"request_key": key, "user_key": user, "ts": ts, "privacy": privacy} | context


def make_impression(key, *, request, ts, ad=21, **values):
    """Build a row of the table impressions."""
    row = {"imp_key": key, "request_key": request, "ad_key": ad, "exposure_ts": ts}
    numbers = {"price_micros": 900, "bid_micros_at": 1000, "bid_type_at": 1, "p_ctr": 0.02}
    more = {"p_cvr": 0.05, "p_neg": 0.01, "ecpm_log": 20.0, "propensity": 0.5, "n_eligible": 2}
    return row | numbers | more | values


def make_ad_event(key, *, imp, kind, ts, ingest_ts=None, value_micros=0):
    """Build a row of the table ad_events."""
    ingest_ts = ts if ingest_ts is None else ingest_ts
    return {"ev_key": key, "imp_key": imp, "type": kind, "event_ts": ts, "ingest_ts": ingest_ts} | {
        "value_micros": value_micros
    }


def make_organic_event(key, *, ts, user=1, content=11, ingest_ts=None, **values):
    """Build a row of the table organic_events."""
    ingest_ts = ts if ingest_ts is None else ingest_ts
    row = {"ev_key": key, "user_key": user, "content_key": content, "ts": ts}
    return row | {"ingest_ts": ingest_ts, "action": 1, "dwell_ms": 500, "completion": 1.0} | values


def make_random_lake(seed, *, num_users=12, num_days=4, num_ads=30, num_content=20):
    """Draw a consistent lake: consent that comes and goes, late events, near duplicates."""
    draw = numpy_stream(seed, "random lake")
    end = num_days * DAY_MS
    users = [
        {"user_key": user, "valid_from": DAY_0 + int(start), "age_bucket": int(draw.integers(7))}
        | {"gender": 1, "geo_l1": 1, "geo_l2": int(draw.integers(3)), "consent": int(consents)}
        for user in range(1, num_users + 1)
        for start, consents in zip(
            [0, *np.sort(draw.integers(1, end, 2))], draw.random(3) < 0.7, strict=True
        )
    ]
    stats = [
        {"user_key": user, "day_ts": DAY_0 + day * DAY_MS, "activity_group": int(draw.integers(6))}
        | {"top_cats": draw.integers(5, size=draw.integers(3)).tolist()}
        for user in range(1, num_users + 1)
        for day in range(num_days)
    ]
    requests, impressions, events = _random_requests(draw, num_users, num_ads, end)
    organic = []
    for key in range(1, 8 * num_users * num_days):
        ts = DAY_0 + int(draw.integers(end))
        late = int(draw.exponential(HOUR_MS)) if draw.random() < 0.3 else 0
        user, content = int(draw.integers(1, num_users + 1)), int(draw.integers(1, num_content + 1))
        organic.append(
            make_organic_event(key, ts=ts, user=user, content=content, ingest_ts=ts + late)
            | {"dwell_ms": int(draw.integers(60_000)), "completion": float(draw.random())}
        )
    return make_lake_tables(
        users=users,
        user_stats_daily=stats,
        requests=requests,
        impressions=impressions,
        ad_events=events,
        organic_events=organic,
        **_random_items(draw, num_ads, num_content),
    )


def take_until(tables, ts):
    """Keep the rows that had happened at a time and were known by then."""
    happened = {"ad_events": "event_ts", "organic_events": "ts"}
    kept = {}
    for name, rows in tables.items():
        column = happened.get(name, TABLES[name].landing_ts)
        kept[name] = rows.filter(pa.array(rows[column].to_numpy() <= ts))
    return kept


def take_landed(tables, cutoff_ts):
    """Keep the rows that landed before a cutoff, as a lake partition does."""
    return {
        name: rows.filter(pa.array(rows[TABLES[name].landing_ts].to_numpy() < cutoff_ts))
        for name, rows in tables.items()
    }


def land(root, tables, num_days, *, source="world"):
    """Write tables into a new lake, each row on its landing day, from day 0 on."""
    lake = Lake(root)
    full = {name: make_table(name) for name in TABLES} | tables
    for day in range(num_days):
        first = DAY_0 + day * DAY_MS
        parts = {}
        for name, rows in full.items():
            landed = rows[TABLES[name].landing_ts].to_numpy()
            parts[name] = rows.filter(pa.array((landed >= first) & (landed < first + DAY_MS)))
        lake.append_day(day_of_ms(first), parts, source=source)
    return lake


def _random_requests(draw, num_users, num_ads, end):
    """Draw requests, one impression each, and outcomes with delays of up to a day."""
    requests, impressions, events = [], [], []
    for key in range(1, 5 * num_users + 1):
        ts = DAY_0 + int(draw.integers(end))
        user, strict = int(draw.integers(1, num_users + 1)), int(draw.random() < 0.2)
        requests.append(make_request(key, ts=ts, user=user, privacy=strict))
        values = {"price_micros": int(draw.integers(1, 5000)), "bid_type_at": key % 3}
        values["ecpm_log"] = float(draw.uniform(1, 50))
        ad = int(draw.integers(1, num_ads + 1))
        impressions.append(make_impression(key, request=key, ts=ts + 200, ad=ad, **values))
        if draw.random() < 0.5:
            click_ts = ts + 200 + int(draw.integers(1, MINUTE_MS))
            events.append(make_ad_event(3 * key, imp=key, kind=1, ts=click_ts))
            later = click_ts + int(draw.integers(DAY_MS))
            events.append(
                make_ad_event(3 * key + 1, imp=key, kind=2, ts=later, ingest_ts=later + HOUR_MS)
                | {"value_micros": 7}
            )
    return requests, impressions, events


def _random_items(draw, num_ads, num_content):
    """Draw items of which about a third are noisy copies of an earlier one."""
    vectors = draw.normal(size=(num_ads + num_content, WIDTH))
    for row in range(1, len(vectors)):
        if draw.random() < 0.35:
            vectors[row] = vectors[draw.integers(row)] + 0.01 * draw.normal(size=WIDTH)
    ads = [
        {"ad_key": key, "cat_l1": key % 3, "brand": key % 5, "launch_ts": DAY_0}
        | {"content_hash": key, "emb_row": key - 1}
        for key in range(1, num_ads + 1)
    ]
    content = [
        {"content_key": key, "kind": key % 3, "cat_l1": key % 3, "topic_brand": key % 5}
        | {"publish_ts": DAY_0, "content_hash": 10_000 + key, "emb_row": num_ads + key - 1}
        for key in range(1, num_content + 1)
    ]
    versions = [{"ad_key": row["ad_key"], "valid_from": DAY_0, "bid_micros": 5} for row in ads]
    rows = [make_embedding(row, vector.tolist()) for row, vector in enumerate(vectors)]
    return {"ads": ads, "content": content, "ad_versions": versions, "embeddings": rows}


def _zero(field):
    """Give the value of a column that a test does not care about."""
    if field.nullable:
        return None
    if pa.types.is_list(field.type):
        return []
    if pa.types.is_string(field.type):
        return ""
    return False if pa.types.is_boolean(field.type) else 0
