"""T26: conversions that were ingested after the cutoff used as training labels."""

import pyarrow as pa

from gpr_core.data.as_of import Window
from gpr_core.data.curation import canonical_tables
from gpr_core.data.decisions import build_decisions
from gpr_core.data.engine import Engine
from gpr_core.data.tables import DAY_MS, HOUR_MS
from gpr_core.features.buckets import Buckets
from gpr_core.features.timeline import build_timelines
from tests.lake_rows import DAY_0, make_ad_event, make_small_lake

WINDOW = Window(DAY_0, DAY_0 + 2 * DAY_MS)
BUCKETS = Buckets(price_edges=(), dwell_edges=())
CLICK = make_ad_event(61, imp=51, kind=1, ts=DAY_0 + 2 * HOUR_MS + 5000)
# It happened in the window, and the log of it arrived half an hour after the end.
LATE = make_ad_event(
    62,
    imp=51,
    kind=2,
    ts=WINDOW.cutoff_ts - HOUR_MS,
    ingest_ts=WINDOW.cutoff_ts + HOUR_MS // 2,
    value_micros=70,
)


def learn_from(events, *, ingest_column="ingest_ts"):
    """Build decisions and timelines from a canonical window whose outcomes are given."""
    with Engine() as engine:
        canonical = canonical_tables(
            make_small_lake(ad_events=[]), WINDOW, cell_min_users=1, engine=engine
        )
        rows = make_small_lake(ad_events=events)["ad_events"]
        column = rows.schema.get_field_index("ingest_ts")
        rows = rows.set_column(column, rows.schema.field("ingest_ts"), rows[ingest_column])
        canonical = canonical | {"ad_events": rows}
        decisions = build_decisions(canonical, WINDOW, attribution_days=30, engine=engine)
        timelines = build_timelines(canonical, BUCKETS, WINDOW, session_gap_min=30, engine=engine)
    return decisions, timelines


def by_event_time(events):
    """The broken twin: an outcome counts if it happened in time, whenever it became known."""
    return learn_from(events, ingest_column="event_ts")


def ignores_late_rows(learn):
    """Say whether a planted late row leaves every training table as it was."""
    pairs = zip(learn([CLICK]), learn([CLICK, LATE]), strict=True)
    return all(before.equals(after) for before, after in pairs)


def test_a_late_conversion_changes_nothing():
    assert ignores_late_rows(learn_from)


def test_filtering_by_event_time_is_caught():
    assert not ignores_late_rows(by_event_time)


def test_the_same_conversion_counts_once_it_is_known():
    known = LATE | {"ingest_ts": WINDOW.cutoff_ts - 1}
    decisions, timelines = learn_from([CLICK, known])
    assert decisions["action"].to_pylist() == [2, 0]
    assert pa.compute.sum(pa.compute.equal(timelines["order_key"], 62)).as_py() == 1
