"""One way to break every rule about rows of the lake tables.

Rule -> (row that must be found, changes by row). All of one contract are applied at once, each to
rows of its own, so that one check proves all of them. REFERENCE_BREAKS changes the other tables
of such a check.
"""

from typing import Any

from gpr_core.data.tables import DAY_MS
from tests.data_contracts.cell_changes import in_each_row
from tests.data_contracts.valid_tables import FIRST_MS, START, STEP_MS

NONE = 999_999
LAST = START + 9 * DAY_MS

LAKE_ROW_BREAKS: dict[str, dict[str, tuple[int, dict[int, dict[str, Any]]]]] = {
    "users": {
        **in_each_row(
            "US", 0, ("age_bucket", 7), ("gender", 3), ("geo_l1", 64), ("geo_l2", 512),
            ("device_tier", 8), ("consent", 2), ("valid_to", START + DAY_MS),
        ),
        "US-008": (54, {54: {"valid_to": LAST + 2000}}),
        "US-009": (48, {48: {"valid_to": LAST - DAY_MS + 500},
                        49: {"user_key": 49, "valid_from": LAST - DAY_MS + 1000}}),
        "US-010": (8, {8: {"valid_from": START + DAY_MS - 5}}),
        "US-011": (43, {43: {"user_key": 43, "valid_from": START + 7 * DAY_MS + 1000,
                             "reg_ts": START + 7 * DAY_MS - 5}}),
        "US-012": (9, {9: {"geo_l2": 77}}),
    },
    "user_stats_daily": in_each_row(
        "UD", 0, ("req_28d", -1), ("org_28d", -1), ("activity_group", 0), ("day_ts", START + 1),
        ("top_cats", [-1, 2]), ("top_cats", [127]), ("top_cats", [1, 1]), ("user_key", NONE),
    ),
    "ads": in_each_row(
        "AD", 0, ("cat_l1", 127), ("cat_l2", -1), ("brand", 2047), ("conversion_type", -1),
        ("emb_row", NONE), ("ad_key", NONE), ("launch_ts", START + 2 * DAY_MS),
        ("advertiser_key", 77), ("cat_l1", 9), ("emb_row", 20),
    ),
    "ad_versions": {
        **in_each_row(
            "AV", 0, ("bid_type", 3), ("bid_micros", 0), ("daily_budget_micros", 0),
            ("total_budget_micros", 1), ("status", 3), ("age_mask", 0), ("gender_mask", 0),
            ("device_mask", 0), ("freq_cap_day", -1), ("valid_to", START),
        ),
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
    "content": in_each_row(
        "CO", 0, ("kind", 3), ("cat_l1", 127), ("cat_l2", -1), ("topic_brand", 2047),
        ("emb_row", NONE), ("emb_row", 70),
    ),
    "embeddings": {
        **in_each_row("EM", 0, ("emb_row", -1), ("x_text", [0.0] * 4), ("x_img", [0.0] * 3)),
        "EM-009": (9, {9: {"encoder_version": ""}}),
    },
    "requests": in_each_row(
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
    "organic_events": in_each_row(
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
