"""One way to break every rule of every contract, on the tables of `valid_tables`.

ROW_BREAKS breaks rules about rows: rule -> (row that must be found, changes by row). All of one
contract are applied at once, each to rows of its own, so that one check proves all of them.
REFERENCE_BREAKS changes the other tables of such a check. TABLE_BREAKS breaks measures and drift,
one check each: rule -> function from (table, references) to the broken (table, references).
"""

from typing import Any

import numpy as np
import pyarrow as pa

from gpr_core.data.tables import DAY_MS
from tests.data_contracts.valid_tables import CUTOFF, FIRST_MS, START, STEP_MS

NONE = 999_999
LAST = START + 9 * DAY_MS


def _context(prefix, first, row):
    """Break the request context of decisions and snapshots, one column per row."""
    values = {
        "age_bucket": 7, "gender": 3, "geo_l1": 64, "geo_l2": 512, "device": 8, "scene": 3,
        "position": 15, "placement": 7, "os": 7, "net": 7, "privacy": 2, "consent": 2,
    }  # fmt: skip
    return {
        f"{prefix}-{first + idx:03d}": (row + idx, {row + idx: {name: value}})
        for idx, (name, value) in enumerate(values.items())
    }


def _each(prefix, start, *cells):
    """Break one cell per rule, in the order of rules and rows."""
    return {
        f"{prefix}-{idx + 1:03d}": (start + idx, {start + idx: {name: value}})
        for idx, (name, value) in enumerate(cells)
    }


ROW_BREAKS: dict[str, dict[str, tuple[int, dict[int, dict[str, Any]]]]] = {
    "users": {
        **_each("US", 0, ("age_bucket", 7), ("gender", 3), ("geo_l1", 64), ("geo_l2", 512),
                ("device_tier", 8), ("consent", 2), ("valid_to", START + DAY_MS)),
        "US-008": (54, {54: {"valid_to": LAST + 2000}}),
        "US-009": (48, {48: {"valid_to": LAST - DAY_MS + 500},
                        49: {"user_key": 49, "valid_from": LAST - DAY_MS + 1000}}),
        "US-010": (8, {8: {"valid_from": START + DAY_MS - 5}}),
        "US-011": (43, {43: {"user_key": 43, "valid_from": START + 7 * DAY_MS + 1000,
                             "reg_ts": START + 7 * DAY_MS - 5}}),
        "US-012": (9, {9: {"geo_l2": 77}}),
    },
    "user_stats_daily": _each(
        "UD", 0, ("req_28d", -1), ("org_28d", -1), ("activity_group", 0), ("day_ts", START + 1),
        ("top_cats", [-1, 2]), ("top_cats", [127]), ("top_cats", [1, 1]), ("user_key", NONE),
    ),
    "ads": _each(
        "AD", 0, ("cat_l1", 127), ("cat_l2", -1), ("brand", 2047), ("conversion_type", -1),
        ("emb_row", NONE), ("ad_key", NONE), ("launch_ts", START + 2 * DAY_MS),
        ("advertiser_key", 77), ("cat_l1", 9), ("emb_row", 20),
    ),
    "ad_versions": {
        **_each("AV", 0, ("bid_type", 3), ("bid_micros", 0), ("daily_budget_micros", 0),
                ("total_budget_micros", 1), ("status", 3), ("age_mask", 0), ("gender_mask", 0),
                ("device_mask", 0), ("freq_cap_day", -1), ("valid_to", START)),
        "AV-011": (54, {54: {"valid_to": LAST + 2000}}),
        "AV-012": (12, {12: {"ad_key": NONE}}),
        "AV-013": (13, {13: {"valid_from": START}}),
        "AV-014": (14, {14: {"geo_set": [-1]}}),
        "AV-015": (15, {15: {"geo_set": [512]}}),
    },
    "ad_spend_ledger": {
        "SL-001": (0, {0: {"delta_micros": -1}}),
        "SL-002": (1, {1: {"seq": -1}}),
        "SL-003": (30, {30: {"cum_day_micros": 7}}),
        "SL-004": (150, {150: {"cum_total_micros": 10**6}}),
        "SL-005": (240, {240: {"cum_total_micros": 1}}),
        "SL-006": (361, {361: {"ad_key": NONE}}),
        "SL-007": (482, {482: {"ts": START - 5}}),
        "SL-008": (603, {603: {"cum_day_micros": 10**9 + 500}}),
        "SL-009": (724, {724: {"cum_total_micros": 10**11 + 500}}),
    },
    "content": _each(
        "CO", 0, ("kind", 3), ("cat_l1", 127), ("cat_l2", -1), ("topic_brand", 2047),
        ("emb_row", NONE), ("emb_row", 70),
    ),
    "embeddings": {
        **_each("EM", 0, ("emb_row", -1), ("x_text", [0.0] * 4), ("x_img", [0.0] * 3)),
        "EM-009": (9, {9: {"encoder_version": ""}}),
    },
    "requests": _each(
        "RQ", 0, ("user_key", NONE), ("ts", START - 5), ("scene", 3), ("position", 15),
        ("placement", 7), ("device", 8), ("os", 7), ("net", 7), ("privacy", 2),
        ("is_synthetic", True), ("snapshot_id", "s1"),
    ),
    "impressions": {
        "IM-001": (120, {120: {"request_key": NONE}}),
        "IM-002": (121, {121: {"ad_key": NONE}}),
        "IM-003": (122, {122: {"exposure_ts": START + DAY_MS + FIRST_MS + 2 * STEP_MS - 1}}),
        "IM-004": (123, {123: {"ad_key": 1059}}),
        # Targeting and status are broken in the versions of ads 1005 .. 1001.
        "IM-005": (5, {}),
        "IM-006": (4, {}),
        "IM-007": (3, {}),
        "IM-008": (2, {}),
        "IM-009": (1, {}),
        "IM-010": (240, {240: {"price_micros": -1}}),
        "IM-011": (246, {246: {"bid_micros_at": 0}}),
        "IM-012": (252, {252: {"bid_micros_at": 5}}),
        "IM-013": (258, {258: {"bid_type_at": 1}}),
        "IM-014": (264, {264: {"p_ctr": 0.0}}),
        "IM-015": (270, {270: {"p_cvr": 1.0}}),
        "IM-016": (276, {276: {"p_neg": 1.0}}),
        "IM-017": (282, {282: {"ecpm_log": 9.0}}),
        "IM-018": (288, {288: {"propensity": 1.5}}),
        "IM-019": (294, {294: {"n_eligible": 0}}),
        "IM-020": (301, {301: {"request_key": 10_300}}),
        "IM-021": (306, {306: {"policy_id": ""}}),
        "IM-022": (312, {312: {"policy_id": "bob@mail.com"}}),
    },
    "ad_events": {
        "EV-001": (1, {1: {"type": 4}}),
        "EV-002": (9, {9: {"imp_key": NONE}}),
        "EV-003": (10, {10: {"event_ts": START + FIRST_MS + 10 * STEP_MS + 99}}),
        "EV-004": (11, {11: {"ingest_ts": START}}),
        "EV-005": (27, {27: {"imp_key": 20_100}}),
        "EV-006": (50, {50: {"event_ts": START + DAY_MS + FIRST_MS + 2 * STEP_MS + 500}}),
        "EV-007": (39, {39: {"imp_key": 20_130}}),
        "EV-008": (51, {51: {"value_micros": -1}}),
        "EV-009": (12, {12: {"value_micros": 5}}),
    },
    "organic_events": _each(
        "OE", 0, ("user_key", NONE), ("content_key", NONE), ("content_key", 5059),
        ("ingest_ts", START), ("action", 6), ("dwell_ms", -1), ("completion", 1.5),
    ),
    "thoughts": {
        "TH-001": (0, {0: {"source_max_ts": START + DAY_MS}}),
        "TH-002": (7, {7: {"text": "call +1 555 123 4567"}}),
        **{
            f"TH-{idx:03d}": (idx - 1, {idx - 1: {name: value}})
            for idx, name, value in (
                (3, "text", ""), (4, "token_ids", [-1]), (5, "token_ids", []),
                (6, "provider", ""), (7, "prompt_hash", "no hash"),
            )
        },
        "TH-008": (1, {1: {"user_key": NONE}}),
        # User 2, of row 7, takes the consent back in the table users.
        "TH-009": (7, {}),
    },
    "decisions": {
        "DE-001": (10, {10: {"ts": START + FIRST_MS}}),
        "DE-002": (20, {20: {"ad_key": NONE}}),
        "DE-003": (22, {22: {"ad_key": 1059}}),
        "DE-004": (1199, {1199: {"ts": CUTOFF}}),
        "DE-005": (36, {36: {"age_bucket": 2}}),
        **_context("DE", 6, 40),
        "DE-018": (60, {60: {"price_micros": -1}}),
        "DE-019": (61, {61: {"bid_type": 3}}),
        "DE-020": (62, {62: {"bid_micros": 0}}),
        "DE-021": (63, {63: {"p_ctr": 0.0}}),
        "DE-022": (64, {64: {"p_cvr": 0.0}}),
        "DE-023": (65, {65: {"p_neg": 0.0}}),
        "DE-024": (66, {66: {"ecpm": 9.0}}),
        "DE-025": (67, {67: {"propensity": 0.0}}),
        "DE-026": (68, {68: {"n_eligible": 0}}),
        "DE-027": (69, {69: {"action": 3}}),
        "DE-028": (0, {0: {"value_micros": -1}}),
        "DE-029": (70, {70: {"value_micros": 5}}),
        "DE-030": (71, {71: {"is_synthetic": True}}),
    },
    "value_weights": {
        "VW-001": (1, {1: {"action": 3}}),
        "VW-002": (2, {2: {"request_key": NONE}}),
        "VW-003": (50, {50: {"action": 1}}),
        "VW-004": (4, {4: {"raw": -1.0}}),
        "VW-005": (5, {5: {"omega": 0.0}}),
    },
    "snapshot_requests": {
        "SR-001": (5, {5: {"ts": START}}),
        "SR-002": (39, {39: {"ts": CUTOFF}}),
        "SR-003": (6, {6: {"request_key": NONE}}),
        "SR-004": (35, {35: {"request_key": 10_000}}),
        **_context("SR", 5, 10),
    },
    "item_vectors": _each(
        "IV", 0, ("item_kind", 3), ("emb_row", -1), ("x", [1.0, 1.0, 1.0, 1.0])
    ),
    "tokenizer_sample": {
        "TS-001": (0, {0: {"item_kind": 3}}),
        "TS-002": (1, {1: {"split": 3}}),
        "TS-003": (6, {6: {"cluster": 5, "is_canonical": False}}),
        "TS-004": (10, {10: {"is_canonical": False}}),
        "TS-005": (12, {12: {"weight": 0.0}}),
        "TS-006": (13, {13: {"item_key": NONE}}),
    },
    "sid_map": {
        **_each("SM", 0, ("item_kind", 3), ("c2", -1), ("c1", 32), ("quant_err", -1.0),
                ("leaf_rank", -1)),
        "SM-006": (13, {13: {"leaf_rank": 1}}),
        "SM-007": (70, {70: {"leaf_rank": 3}}),
    },
    "catalog_ads": {
        "CA-001": (0, {0: {"cat_l1": 127}}),
        "CA-002": (1, {1: {"brand": 2047}}),
        "CA-003": (59, {59: {"ad_key": NONE}}),
        "CA-004": (21, {20: {"ad_key": 1010}, 21: {"ad_key": 1004}}),
    },
    "rollouts": {
        "RO-001": (0, {0: {"logp_old": [0.1, -0.25, 0.0]}}),
        "RO-002": (1, {1: {"legal_count": [0, 3, 1]}}),
        "RO-003": (2, {2: {"path": [0, 1]}}),
        "RO-004": (3, {3: {"legal_count": [1, 3, 1]}}),
        "RO-005": (5, {5: {"ad_key": 1000}}),
        "RO-006": (11, {11: {"cand_idx": 7}}),
        "RO-007": (12, {12: {"head_id": -1}}),
        "RO-008": (13, {13: {"ad_key": NONE}}),
        "RO-009": (14, {14: {"path": [1, 1, 0]}}),
        "RO-010": (16, {16: {"request_key": NONE}}),
        "RO-011": (17, {17: {"is_synthetic": True}}),
        "RO-012": (18, {18: {"p_ctr": 1.5}}),
        "RO-013": (19, {19: {"p_cvr": 1.5}}),
        "RO-014": (20, {20: {"p_neg": 1.5}}),
        "RO-015": (21, {21: {"ecpm": -1.0}}),
        "RO-016": (22, {22: {"fv": 99.0}}),
    },
    "training_curve": {
        "TC-001": (0, {0: {"update": -1}}),
        "TC-002": (11, {10: {"update": 11}, 11: {"update": 10}}),
    },
    "evaluation_requests": _each(
        "ER", 0, ("is_synthetic", True), ("ts", CUTOFF + DAY_MS), ("num_eligible", -1)
    ),
    "timelines": {
        "TL-001": (3, {3: {"kind": 5}}),
        "TL-002": (10, {10: {"ts": START}}),
        "TL-003": (41, {41: {"kind": 1}}),
        "TL-004": (5, {5: {"item_kind": 1}}),
        "TL-005": (9, {9: {"item_key": 0}}),
        "TL-006": (6, {6: {"request_key": 0}}),
        "TL-007": (13, {13: {"action": 6}}),
        "TL-008": (17, {17: {"ingest_ts": START}}),
        "TL-009": (21, {21: {"ingest_ts": CUTOFF}}),
        "TL-010": (25, {25: {"f0": -1}}),
        "TL-011": (29, {29: {"f0": 4}}),
        "TL-012": (33, {33: {"item_key": NONE}}),
        "TL-013": (52, {52: {"request_key": NONE}}),
        "TL-014": (53, {53: {"ts": START + FIRST_MS}}),
        "TL-015": (59, {61: {"action": 0}}),
    },
}  # fmt: skip

REFERENCE_BREAKS: dict[str, dict[str, dict[int, dict[str, Any]]]] = {
    "impressions": {
        "ad_versions": {
            5: {"status": 1}, 4: {"age_mask": 1}, 3: {"gender_mask": 1}, 2: {"device_mask": 1},
            1: {"geo_set": [9]},
        }
    },
    "thoughts": {"users": {1: {"consent": 0}}},
}  # fmt: skip


def with_cells(table, changes):
    """Change cells: row -> column -> value."""
    by_column: dict[str, dict[int, Any]] = {}
    for row, cells in changes.items():
        for name, value in cells.items():
            by_column.setdefault(name, {})[row] = value
    for name, cells in by_column.items():
        values = table[name].to_pylist()
        for row, value in cells.items():
            values[row] = value
        table = with_column(table, name, values)
    return table


def with_column(table, name, values):
    """Replace a column; one value fills it."""
    values = values if isinstance(values, list) else [values] * table.num_rows
    field = table.schema.field(name)
    return table.set_column(table.column_names.index(name), field, pa.array(values, field.type))


def _column(name, value):
    """Fill a column."""
    return lambda table, references: (with_column(table, name, value), references)


def _cells(**columns):
    """Change row 0."""
    return lambda table, references: (with_cells(table, {0: columns}), references)


def _last_day(name, value, *, clock):
    """Fill a column on the last day."""

    def change(table, references):
        is_last = table[clock].to_numpy() >= LAST
        values = table[name].to_pylist()
        chosen = [value if last else old for last, old in zip(is_last, values, strict=True)]
        return with_column(table, name, chosen), references

    return change


def _times(name, factor, *, clock):
    """Multiply a column of numbers or vectors on the last day."""

    def change(table, references):
        is_last = table[clock].to_numpy() >= LAST
        values = [np.asarray(value) for value in table[name].to_pylist()]
        chosen = [
            (value * factor if last else value).tolist()
            for last, value in zip(is_last, values, strict=True)
        ]
        return with_column(table, name, chosen), references

    return change


def _without_last_day_but(rows, *, clock):
    """Keep few rows of the last day."""

    def change(table, references):
        position = np.arange(table.num_rows)
        is_last = table[clock].to_numpy() >= LAST
        return table.filter(pa.array(~is_last | (position % 120 < rows))), references

    return change


def _more_last_day(key, times, *, clock):
    """Repeat the last day under new keys."""

    def change(table, references):
        last = table.filter(pa.array(table[clock].to_numpy() >= LAST))
        parts = [table]
        for turn in range(1, times):
            keys = [value + 100_000 * turn for value in last[key].to_pylist()]
            parts.append(with_column(last, key, keys))
        return pa.concat_tables(parts), references

    return change


def _without_rows(keep):
    """Keep some rows."""
    return lambda table, references: (table.filter(pa.array(keep(table))), references)


def _first_column(name):
    """Make the first number of all vectors constant."""

    def change(table, references):
        return with_column(
            table, name, [[0.5, *vector[1:]] for vector in table[name].to_pylist()]
        ), references

    return change


def _all_users_busy(table, references):
    """Give the last day statistics of all users."""
    last = table.slice(table.num_rows - 1, 1)
    rows = [with_cells(last, {0: {"user_key": key}}) for key in range(10, 60)]
    return pa.concat_tables([table, *rows]), references


def _no_clicks(table, references):
    return table, {**references, "ad_events": references["ad_events"].slice(0, 1)}


def _half_the_clicks(table, references):
    events = references["ad_events"]
    return table, {**references, "ad_events": events.take(np.arange(0, events.num_rows, 2))}


def _flood(key, *, clock):
    """Make the last day ten times as large, all in one category."""

    def change(table, references):
        table, references = _more_last_day(key, 10, clock=clock)(table, references)
        return _last_day("cat_l1", 50, clock=clock)(table, references)

    return change


def _late_conversions(table, references):
    is_conversion = table["type"].to_numpy() == 2
    shift = np.where(is_conversion, 8 * DAY_MS, 0)
    for name in ("event_ts", "ingest_ts"):
        table = with_column(table, name, (table[name].to_numpy() + shift).tolist())
    return table, references


def _kinds(old, new):
    """Turn one kind of token into another."""

    def change(table, references):
        kinds = table["kind"].to_pylist()
        return with_column(
            table, "kind", [new if kind in old else kind for kind in kinds]
        ), references

    return change


def _omega(action, factor):
    """Scale the weights of one outcome."""

    def change(table, references):
        is_action = table["action"].to_numpy() == action
        omega = table["omega"].to_numpy() * np.where(is_action, factor, 1.0)
        return with_column(table, "omega", omega.tolist()), references

    return change


def _drop(row):
    """Leave out one row, counted from the end if negative."""
    return _without_rows(lambda table: np.arange(table.num_rows) != row % table.num_rows)


def _many_clipped(table, references):
    omega = table["omega"].to_numpy().copy()
    omega[::3] = omega.max()
    return with_column(table, "omega", omega.tolist()), references


TABLE_BREAKS = {
    "US-013": _column("consent", 0),
    "US-050": _last_day("age_bucket", 6, clock="valid_from"),
    "UD-050": _all_users_busy,
    "AD-050": _flood("ad_key", clock="launch_ts"),
    "AV-016": _cells(bid_micros=10**15),
    "AV-017": _column("status", 1),
    "AV-050": _times("bid_micros", 1000, clock="valid_from"),
    "SL-050": _times("delta_micros", 50, clock="ts"),
    "CO-050": _flood("content_key", clock="publish_ts"),
    "EM-004": _cells(x_text=[1.0] * 5),
    "EM-005": _cells(x_img=[1.0] * 5),
    "EM-006": _cells(encoder_version="e2"),
    "EM-007": _first_column("x_text"),
    "EM-008": _first_column("x_img"),
    "EM-050": _times("x_text", 9, clock="encoded_ts"),
    "RQ-050": _without_last_day_but(10, clock="ts"),
    "RQ-051": _last_day("scene", 0, clock="ts"),
    "IM-030": _no_clicks,
    "IM-031": _half_the_clicks,
    "IM-032": _column("propensity", 0.05),
    "IM-050": _without_last_day_but(10, clock="exposure_ts"),
    "IM-051": _last_day("p_ctr", 0.5, clock="exposure_ts"),
    "IM-052": _last_day("bid_type_at", 0, clock="exposure_ts"),
    "EV-030": _without_rows(lambda table: table["type"].to_numpy() == 1),
    "EV-031": _late_conversions,
    "EV-050": _more_last_day("ev_key", 4, clock="event_ts"),
    "EV-051": _last_day("type", 3, clock="event_ts"),
    "OE-050": _more_last_day("ev_key", 4, clock="ts"),
    "OE-051": _last_day("action", 0, clock="ts"),
    "OE-052": _last_day("dwell_ms", 1, clock="ts"),
    "TL-030": _kinds((2, 3), 0),
    "TL-031": _kinds((2,), 1),
    "TL-032": _kinds((3,), 1),
    "VW-030": _omega(0, 2.0),
    "VW-031": _cells(omega=1e-6),
    "VW-032": _many_clipped,
    "VW-033": _omega(1, 0.01),
    "VW-034": _omega(2, 0.01),
    "TS-030": _column("split", 0),
    "TS-031": _column("split", 1),
    "TS-032": _cells(weight=100.0),
    "TS-033": _drop(-1),
    "IV-030": _cells(x=[0.5] * 5),
    "IV-031": _first_column("x"),
    "IV-032": _drop(0),
    "IV-033": _drop(-1),
    "SM-030": _cells(tokenizer_version="t2"),
    "SM-031": _drop(-1),
    "CA-030": _drop(-1),
    "SR-030": _column("is_synthetic", True),
    "RO-030": _cells(snapshot_hash="s2"),
}
