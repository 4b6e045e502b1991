"""T41: user features of the end of the window used at earlier positions."""

import pyarrow as pa

from gpr_core.data.as_of import Window
from gpr_core.data.curation import canonical_tables
from gpr_core.data.decisions import build_decisions
from gpr_core.data.engine import Engine
from gpr_core.data.tables import DAY_MS
from gpr_core.features.buckets import Buckets
from gpr_core.features.timeline import build_timelines
from tests.lake_rows import DAY_0, make_small_lake

WINDOW = Window(DAY_0, DAY_0 + 9 * DAY_MS)
BUCKETS = Buckets(price_edges=(), dwell_edges=())
CHANGE_TS = DAY_0 + DAY_MS
EARLY = {"user_key": 1, "valid_from": DAY_0, "age_bucket": 3, "gender": 2, "consent": 1}
STATS = {"user_key": 1, "day_ts": DAY_0, "activity_group": 1, "top_cats": [4]}


def build(canonical, engine):
    """Build what training reads of a canonical window."""
    timelines = build_timelines(canonical, BUCKETS, WINDOW, session_gap_min=30, engine=engine)
    decisions = build_decisions(canonical, WINDOW, attribution_days=30, engine=engine)
    return timelines, decisions


def honest(tables):
    """Read users and statistics as of each token."""
    with Engine() as engine:
        canonical = canonical_tables(tables, WINDOW, cell_min_users=1, engine=engine)
        return build(canonical, engine)


def of_the_end(tables):
    """The broken twin: the last version of each user counts for all of the window."""
    with Engine() as engine:
        canonical = canonical_tables(tables, WINDOW, cell_min_users=1, engine=engine)
        for name, column in (("users", "valid_from"), ("user_stats_daily", "day_ts")):
            last = canonical[name].slice(canonical[name].num_rows - 1)
            place = last.schema.get_field_index(column)
            backdated = pa.array([DAY_0], pa.int64())
            canonical[name] = last.set_column(place, last.schema.field(column), backdated)
        return build(canonical, engine)


def before_the_change(read, **late_values):
    """Give tokens and decisions of the first day when the profile changes on the second."""
    late = EARLY | {"valid_from": CHANGE_TS} | late_values.get("user", {})
    late_stats = STATS | {"day_ts": CHANGE_TS} | late_values.get("stats", {})
    tables = make_small_lake(users=[EARLY, late], user_stats_daily=[STATS, late_stats])
    return [rows.filter(pa.array(rows["ts"].to_numpy() < CHANGE_TS)) for rows in read(tables)]


def stands_still(read):
    """Say whether late versions leave the first day as it was."""
    base = before_the_change(read)
    changes = (
        {"user": {"age_bucket": 5, "consent": 0}},
        {"stats": {"activity_group": 5, "top_cats": [9, 4]}},
    )
    return all(
        before.equals(after)
        for change in changes
        for before, after in zip(base, before_the_change(read, **change), strict=True)
    )


def test_a_late_profile_change_leaves_earlier_tokens_and_decisions_alone():
    assert stands_still(honest)


def test_a_profile_of_the_end_of_the_window_is_caught():
    assert not stands_still(of_the_end)
