"""One row per exposed request: what was known, what was shown, and what came of it."""

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from gpr_core.data.as_of import Window, as_of_join
from gpr_core.data.engine import Engine, relation
from gpr_core.data.tables import DAY_MS, Action, AdEventType

_USER_COLUMNS = ("age_bucket", "gender", "geo_l1", "geo_l2", "consent")

DECISIONS_SCHEMA = pa.schema(
    [
        pa.field(name, dtype, nullable=False)
        for name, dtype in (
            ("request_key", pa.uint64()),
            ("user_key", pa.uint64()),
            ("ts", pa.int64()),
            ("ad_key", pa.uint64()),
            ("age_bucket", pa.int8()),
            ("gender", pa.int8()),
            ("geo_l1", pa.int16()),
            ("geo_l2", pa.int16()),
            ("device", pa.int8()),
            ("scene", pa.int8()),
            ("position", pa.int8()),
            ("placement", pa.int8()),
            ("os", pa.int8()),
            ("net", pa.int8()),
            ("privacy", pa.int8()),
            ("consent", pa.int8()),
            ("price_micros", pa.int64()),
            ("bid_type", pa.int8()),
            ("bid_micros", pa.int64()),
            ("p_ctr", pa.float32()),
            ("p_cvr", pa.float32()),
            ("p_neg", pa.float32()),
            ("ecpm", pa.float64()),
            ("propensity", pa.float32()),
            ("n_eligible", pa.int32()),
            ("action", pa.int8()),
            ("is_hide", pa.bool_()),
            ("value_micros", pa.int64()),
            ("is_synthetic", pa.bool_()),
        )
    ]
)


def build_decisions(
    canonical: Mapping[str, pa.Table], window: Window, *, attribution_days: int, engine: Engine
) -> pa.Table:
    """Join requests, impressions, users as of the request, and matured outcomes.

    The action is the highest one of the exposure that was ingested before the cutoff and happened
    within the attribution window; a conversion that arrives later is unseen.

    Args:
        canonical: Tables of `canonical_tables`.
        window: Requests to include, and the cutoff of the outcomes.
        attribution_days: Longest time from exposure to outcome.
        engine: Where to compute.

    Returns:
        `DECISIONS_SCHEMA`, sorted by (ts, request_key).
    """
    requests = relation(canonical["requests"])
    requests = requests.filter(
        (requests["ts"] >= window.start_ts) & (requests["ts"] < window.cutoff_ts)
    )
    impressions = relation(canonical["impressions"])
    outcomes = _outcomes(impressions, relation(canonical["ad_events"]), window, attribution_days)
    shown = requests.join(impressions, "request_key", rname="{name}_shown")
    shown = shown.left_join(outcomes, "imp_key", rname="{name}_outcome")
    shown = as_of_join(
        shown,
        relation(canonical["users"]),
        key="user_key",
        ts="ts",
        right_ts="valid_from",
        columns=_USER_COLUMNS,
    )
    rows = shown.mutate(
        bid_type=shown["bid_type_at"],
        bid_micros=shown["bid_micros_at"],
        ecpm=shown["ecpm_log"],
        action=shown["action"].fill_null(int(Action.IMPRESSION)),
        is_hide=shown["is_hide"].fill_null(False),
        value_micros=shown["value_micros"].fill_null(0),
        **{name: shown[name].fill_null(0) for name in _USER_COLUMNS},
    )
    return engine.collect(rows, ("ts", "request_key"), DECISIONS_SCHEMA)


def drop_rare_users(decisions: pa.Table, min_requests: int) -> pa.Table:
    """Leave out the decisions of users with few exposed requests; nothing can be learned of them.

    Args:
        decisions: `DECISIONS_SCHEMA`.
        min_requests: Least decisions of a user.

    Returns:
        The other rows, in order.
    """
    counts = decisions["user_key"].value_counts()
    is_frequent = pc.greater_equal(counts.field("counts"), min_requests)
    frequent = counts.field("values").filter(is_frequent)
    return decisions.filter(pc.is_in(decisions["user_key"], value_set=frequent)).combine_chunks()


def _outcomes(
    impressions: ir.Table, events: ir.Table, window: Window, attribution_days: int
) -> ir.Table:
    """Give the highest matured action of each impression that has any event."""
    joined = events.filter(events["ingest_ts"] < window.cutoff_ts).join(
        impressions.select("imp_key", "exposure_ts"), "imp_key"
    )
    delay_ms = joined["event_ts"] - joined["exposure_ts"]
    matured = joined.filter((delay_ms >= 0) & (delay_ms <= attribution_days * DAY_MS))
    kind = matured["type"]
    level = ibis.cases(
        (kind == int(AdEventType.CONVERSION), int(Action.CONVERSION)),
        (kind == int(AdEventType.CLICK), int(Action.CLICK)),
        else_=int(Action.IMPRESSION),
    )
    value = ibis.ifelse(kind == int(AdEventType.CONVERSION), matured["value_micros"], 0)
    graded = matured.mutate(level=level, is_hide_event=kind == int(AdEventType.HIDE), worth=value)
    return graded.group_by("imp_key").aggregate(
        action=graded["level"].max(),
        is_hide=graded["is_hide_event"].max(),
        value_micros=graded["worth"].sum(),
    )
