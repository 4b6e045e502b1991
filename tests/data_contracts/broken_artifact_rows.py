"""One way to break every rule about rows of the tables that steps write.

Rule -> (row that must be found, changes by row). All of one contract are applied at once, each to
rows of its own, so that one check proves all of them.
"""

from typing import Any

from gpr_core.data.tables import DAY_MS
from tests.data_contracts.cell_changes import in_each_row
from tests.data_contracts.valid_tables import CUTOFF, FIRST_MS, START

NONE = 999_999


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


ARTIFACT_ROW_BREAKS: dict[str, dict[str, tuple[int, dict[int, dict[str, Any]]]]] = {
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
    "snapshot_impressions": in_each_row(
        "SI", 1, ("ad_key", NONE), ("price_micros", -1), ("ts", CUTOFF)
    ),
    "snapshot_ad_events": {
        **in_each_row("SE", 0, ("action", 4), ("ad_key", NONE), ("ingest_ts", CUTOFF)),
        "SE-004": (11, {10: {"request_key": NONE}}),
    },
    "item_vectors": in_each_row(
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
        **in_each_row(
            "SM", 0, ("item_kind", 3), ("c2", -1), ("c1", 32), ("quant_err", -1.0),
            ("leaf_rank", -1),
        ),
        "SM-006": (13, {13: {"leaf_rank": 1}}),
        "SM-007": (70, {70: {"leaf_rank": 3}}),
        "SM-008": (14, {14: {"leaf_rank": 10}}),
    },
    "id_map": in_each_row(
        "ID", 0, ("item_kind", 3), ("old_path", []), ("new_path", []), ("new_path", [0, -1]),
    ),
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
    "evaluation_requests": in_each_row(
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
