"""A small world in which every contract holds; tests break it one promise at a time.

Ten days that look alike: 6 new users, ads and contents, 120 requests with one impression each,
20 clicks and 8 conversions a day. Only what landed on the first day is ever requested or shown.
"""

import functools

import numpy as np
import pyarrow as pa

from data_contracts.load import contract_names, load_contract
from data_contracts.structure import contract_schema
from gpr_core.data.days import day_start_ms, parse_day
from gpr_core.data.tables import DAY_MS

DAYS, NEW, SHOWN, LEVELS = 10, 6, 120, 3
START = day_start_ms(parse_day("2026-01-01"))
CUTOFF = START + DAYS * DAY_MS
PARAMETERS = {
    "ad_events": {"min_clicks": 100},
    "decisions": {"cutoff_ts": CUTOFF},
    "evaluation_requests": {"cutoff_ts": CUTOFF},
    "timelines": {"cutoff_ts": CUTOFF},
    "snapshot_ad_events": {"cutoff_ts": CUTOFF},
    "snapshot_impressions": {"cutoff_ts": CUTOFF},
    "snapshot_requests": {"cutoff_ts": CUTOFF},
    "sid_map": {"code_high": 31, "leaf_rank_high": 9},
}
# Row 0 of each day's requests begins an hour after midnight.
FIRST_MS, STEP_MS = 3_600_000, 60_000


def _is_single(values):
    """Tell one value for all rows from a column."""
    return values is None or np.isscalar(values)


def _table(name, columns):
    """Lay columns out in the contract's schema; a number fills its column."""
    schema = contract_schema(load_contract(name))
    rows = next(len(values) for values in columns.values() if not _is_single(values))
    arrays, fields = [], []
    for field in schema:
        if field.name not in columns:
            continue
        values = columns[field.name]
        values = [values] * rows if _is_single(values) else list(values)
        arrays.append(pa.array(values, field.type))
        fields.append(field)
    return pa.table(arrays, schema=pa.schema(fields))


def _daily(per_day):
    """Number the rows and give their day."""
    rows = np.arange(DAYS * per_day)
    return rows, rows % per_day, START + (rows // per_day) * DAY_MS


def _people():
    """The last row is a second version of the user of row 54."""
    rows, place, day = _daily(NEW)
    is_second = rows == len(rows) - 1
    end = [None if row != 54 else day[row] + 1000 for row in rows]
    users = {
        "user_key": np.where(is_second, 55, rows + 1), "valid_from": day + 1000 * is_second,
        "valid_to": end, "age_bucket": 1 + place % 2,
        "gender": 1, "geo_l1": 2, "geo_l2": 3, "device_tier": 1, "consent": 1, "reg_ts": day,
    }  # fmt: skip
    stats = {
        "user_key": place + 1, "day_ts": day, "req_28d": 5, "org_28d": 6,
        "activity_group": 1 + place % 5, "top_cats": [[1, 2]] * len(rows),
    }  # fmt: skip
    return {"users": users, "user_stats_daily": stats}


def _vectors(seed, rows, width):
    """Unit vectors of directions that are dense enough for every column to vary."""
    x = np.random.Generator(np.random.PCG64(seed)).normal(size=(rows, width))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def _items():
    rows, place, day = _daily(NEW)
    ads = {
        "ad_key": 1000 + rows, "advertiser_key": 10 + place, "campaign_key": 20 + place,
        "creative_key": 2000 + rows, "product_key": 30 + place, "cat_l1": place, "cat_l2": place,
        "brand": place, "conversion_type": 0, "content_hash": rows + 1, "launch_ts": day,
        "emb_row": rows, "title": [None, "", *["offer"] * (len(rows) - 2)],
    }  # fmt: skip
    # The ad of row 54 gets a second version in the last row.
    ad = np.append(rows, 54)
    end = [None if row != 54 else day[54] + 1000 for row in range(len(ad))]
    versions = {
        "ad_key": 1000 + ad, "valid_from": np.append(day, day[54] + 1000), "valid_to": end,
        "bid_type": ad % NEW % 3, "bid_micros": 1_000_000 + ad % NEW,
        "daily_budget_micros": 10**9, "total_budget_micros": 10**11, "status": 0, "age_mask": 127,
        "gender_mask": 7, "device_mask": 255, "freq_cap_day": 0,
        "geo_set": [[3, 4] if row % 2 else [] for row in ad],
    }  # fmt: skip
    content = {
        "content_key": 5000 + rows, "kind": place % 3, "cat_l1": place, "cat_l2": place,
        "topic_brand": place, "author_key": 40 + place, "publish_ts": day,
        "content_hash": 100 + rows, "emb_row": len(rows) + rows, "title": "story",
    }  # fmt: skip
    both, _, both_day = _daily(2 * NEW)
    embeddings = {
        "emb_row": both, "x_text": list(_vectors(1, len(both), 4)),
        "x_img": list(_vectors(2, len(both), 3)), "encoder_version": "e1", "encoded_ts": both_day,
    }  # fmt: skip
    return {"ads": ads, "ad_versions": versions, "content": content, "embeddings": embeddings}


def _traffic():
    rows, place, day = _daily(SHOWN)
    ts = day + FIRST_MS + place * STEP_MS
    ad, bid_type = place % NEW, place % NEW % 3
    bid = 1_000_000 + ad
    p_ctr, p_cvr = np.float32(1 / 6), np.float32(0.4)
    p = np.float64(p_ctr)
    ecpm = bid / 1e6 * np.choose(bid_type, [1.0, 1000 * p, 1000 * p * np.float64(p_cvr)])
    requests = {
        "request_key": 10_000 + rows, "user_key": 1 + place % NEW, "ts": ts, "scene": place % 3,
        "position": 1, "placement": 0, "device": 1, "os": 1, "net": 1, "privacy": 0,
        "is_synthetic": False, "snapshot_id": None,
    }  # fmt: skip
    impressions = {
        "imp_key": 20_000 + rows, "request_key": 10_000 + rows, "ad_key": 1000 + ad,
        "exposure_ts": ts + 100, "price_micros": 500, "bid_micros_at": bid, "bid_type_at": bid_type,
        "p_ctr": p_ctr, "p_cvr": p_cvr, "p_neg": 0.01, "ecpm_log": ecpm, "policy_id": "cascade-1",
        "propensity": 0.25, "n_eligible": 4,
    }  # fmt: skip
    total = place // NEW + 1
    earlier = (rows // SHOWN) * (SHOWN // NEW)
    ledger = {
        "ad_key": 1000 + ad, "ts": ts + 100, "seq": 0, "delta_micros": 500,
        "cum_day_micros": 500 * total, "cum_total_micros": 500 * (total + earlier),
    }  # fmt: skip
    return {"requests": requests, "impressions": impressions, "ad_spend_ledger": ledger}


def _outcomes(impressions):
    """Clicks on the first 20 impressions of a day, conversions of the first 8 of these."""
    rows, place, day = _daily(28)
    is_conversion = place >= 20
    shown = np.where(is_conversion, place - 20, place) + (rows // 28) * SHOWN
    ts = np.asarray(impressions["exposure_ts"])[shown] + np.where(is_conversion, 60_000, 1000)
    events = {
        "ev_key": 30_000 + rows, "imp_key": 20_000 + shown, "type": 1 + is_conversion,
        "event_ts": ts, "ingest_ts": ts + 10, "value_micros": np.where(is_conversion, 700, 0),
    }  # fmt: skip
    rows, place, day = _daily(30)
    ts = day + FIRST_MS + place * STEP_MS + 1
    organic = {
        "ev_key": 40_000 + rows, "user_key": 1 + place % NEW, "content_key": 5000 + place % NEW,
        "ts": ts, "ingest_ts": ts + 10, "action": place % 6, "dwell_ms": 1500, "completion": 0.5,
    }  # fmt: skip
    thoughts = {
        "user_key": np.arange(8) % NEW + 1, "as_of_ts": START + DAY_MS + np.arange(8),
        "text": "likes outdoor shoes", "token_ids": [[1, 2]] * 8, "provider": "template",
        "prompt_hash": "0123abcd", "source_max_ts": START + 5,
    }  # fmt: skip
    return {"ad_events": events, "organic_events": organic, "thoughts": thoughts}


def _decisions(requests, impressions):
    rows, place, _ = _daily(SHOWN)
    shared = ("user_key", "ts", "scene", "position", "placement", "device", "os", "net", "privacy")
    same = ("ad_key", "price_micros", "p_ctr", "p_cvr", "p_neg", "propensity", "n_eligible")
    action = np.where(place < 8, 2, np.where(place < 20, 1, 0))
    decisions = {
        "request_key": 10_000 + rows, **{name: requests[name] for name in shared},
        **{name: impressions[name] for name in same}, "age_bucket": 1 + place % NEW % 2,
        "gender": 1, "geo_l1": 2, "geo_l2": 3, "consent": 1,
        "bid_type": impressions["bid_type_at"], "bid_micros": impressions["bid_micros_at"],
        "ecpm": impressions["ecpm_log"], "action": action, "is_hide": False,
        "value_micros": np.where(action == 2, 700, 0), "is_synthetic": False,
    }  # fmt: skip
    shape = np.array([1.0, 2.0, 4.0])[action] * (1 + rows / 10_000)
    omega = (shape / shape.mean()).astype(np.float32)
    weights = {"request_key": 10_000 + rows, "action": action, "raw": shape, "omega": omega}
    names = [*shared, "age_bucket", "gender", "geo_l1", "geo_l2", "consent"]
    last = {name: np.broadcast_to(decisions[name], len(rows))[-40:] for name in names}
    # The last eight requests of the snapshot are rehearsed ones, under keys of their own.
    is_synthetic = np.arange(40) >= 32
    key = np.where(is_synthetic, 90_000, 10_000) + rows[-40:]
    chosen = {**last, "request_key": key, "is_synthetic": is_synthetic}
    return {
        "decisions": decisions, "value_weights": weights, "snapshot_requests": chosen,
        **_simulated_past(decisions),
    }  # fmt: skip


def _simulated_past(decisions):
    """What a snapshot starts from; ten requests with an impression and a click each."""
    columns = ("user_key", "ad_key", "ts", "price_micros")
    row, action = np.repeat(np.arange(10), 2), np.tile([0, 1], 10)
    events = {
        name: np.asarray(decisions[name])[row] for name in ("user_key", "request_key", "ad_key")
    }
    events |= {"action": action, "ingest_ts": np.asarray(decisions["ts"])[row] + 1000 * action}
    impressions = {name: decisions[name] for name in columns}
    return {"snapshot_impressions": impressions, "snapshot_ad_events": events}


def _tokens():
    """Four sequences: who, organic view, request, impression, click; 10 times each."""
    kind = np.tile(np.concatenate([[0], np.tile([1, 2, 3, 3], 10)]), 4)
    user = np.repeat(np.arange(1, 5), 41)
    step = np.tile(np.arange(41), 4)
    turn = (step - 1) // 4
    is_click = (kind == 3) & (step % 4 == 0)
    ts = START + FIRST_MS + step * 1000
    item_kind = np.array([0, 2, 0, 1])[kind]
    fields = {f"f{idx}": np.where(kind >= 0, 1, 0) for idx in range(8)}
    fields["f6"] = fields["f7"] = np.where((kind == 0) | (kind == 2), 1, 0)
    return {
        "user_key": user, "ts": ts, "kind": kind, "order_key": 70_000 + 100 * user + step,
        "item_kind": item_kind, "item_key": np.choose(item_kind, [0, 1000, 5000]),
        "action": is_click, "ingest_ts": ts + 10,
        "request_key": np.where(kind >= 2, 10_000 + user * 50 + turn, 0), **fields,
    }  # fmt: skip


def _catalog(ads):
    """Two levels vary, so that ten ads share each path."""
    rows = np.arange(DAYS * NEW)
    kind = np.repeat([1, 2], len(rows))
    key = np.concatenate([1000 + rows, 5000 + rows])
    code = np.concatenate([rows, rows]) % NEW
    rank = np.where(kind == 1, np.concatenate([rows, rows]) // NEW, 0)
    vectors = {
        "item_kind": kind, "item_key": key, "emb_row": np.arange(2 * len(rows)),
        "x": list(_vectors(3, 2 * len(rows), 4)),
    }  # fmt: skip
    cluster = np.arange(2 * len(rows))
    sample = {
        "item_kind": kind, "item_key": key, "cluster": cluster,
        "split": np.where(cluster % 5 == 0, 2, np.where(cluster % 10 == 1, 1, 0)),
        "weight": 1.0 + cluster % 3, "is_canonical": True,
    }  # fmt: skip
    sid_map = {
        "item_kind": kind, "item_key": key, "c1": code % 2, "c2": code // 2, "c3": 0,
        "quant_err": 0.1, "leaf_rank": rank, "tokenizer_version": "t1",
    }  # fmt: skip
    id_map = {
        "item_kind": kind, "item_key": key, "old_path": [[idx % 7, idx % 3] for idx in cluster],
        "new_path": [[idx % 5, idx % 2, 0] for idx in cluster], "old_version": "t0",
        "new_version": "t1",
    }  # fmt: skip
    order = np.lexsort((rows, code[: len(rows)] // 2, code[: len(rows)] % 2))
    ranked = {
        name: np.broadcast_to(np.asarray(values), len(rows))[order] for name, values in ads.items()
    }
    return {
        "item_vectors": vectors, "tokenizer_sample": sample, "sid_map": sid_map,
        "id_map": id_map, "catalog_ads": ranked,
    }  # fmt: skip


def _learning(chosen):
    """Four candidates of each of eight requests, 60 updates, ten evaluated requests."""
    row = np.repeat(np.arange(8), 4)
    place = np.tile(np.arange(4), 8)
    value = 3.0 + 5 * np.float64(np.float32(0.1)) + 5 * np.float64(np.float32(0.2))
    value -= 15 * np.float64(np.float32(0.01))
    rollouts = {
        "request_key": np.asarray(chosen["request_key"])[row], "cand_idx": place, "head_id": 0,
        "path": [[idx % 2, idx // 2, 0] for idx in place], "ad_key": 1000 + place,
        "logp_old": [[-0.5, -0.25, 0.0]] * 32, "legal_count": [[2, 3, 1]] * 32, "score": -0.75,
        "p_ctr": 0.1, "p_cvr": 0.2, "p_neg": 0.01, "ecpm": 3.0, "fv": value,
        "is_synthetic": np.asarray(chosen["is_synthetic"])[row], "snapshot_hash": "s1",
        "policy_hash": "p1",
    }  # fmt: skip
    curve = {"update": np.arange(60), "loss": 1.0}
    evaluated = {
        "request_key": 10_000 + np.arange(10), "user_key": 1, "ts": CUTOFF, "ad_key": 1000,
        "is_synthetic": False, "truth_eligible": True, "is_new_to_user": True, "num_eligible": 4,
    }  # fmt: skip
    return {"rollouts": rollouts, "training_curve": curve, "evaluation_requests": evaluated}


@functools.cache
def valid_tables():
    """Build one valid table per contract."""
    traffic, items = _traffic(), _items()
    decided = _decisions(traffic["requests"], traffic["impressions"])
    columns = {
        **_people(), **items, **traffic, **_outcomes(traffic["impressions"]), **decided,
        **_catalog(items["ads"]), **_learning(decided["snapshot_requests"]), "timelines": _tokens(),
    }  # fmt: skip
    assert sorted(columns) == sorted(contract_names())
    return {name: _table(name, values) for name, values in columns.items()}
