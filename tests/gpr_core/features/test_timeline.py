import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.data.as_of import Window
from gpr_core.data.curation import canonical_tables
from gpr_core.data.engine import Engine
from gpr_core.data.tables import DAY_MS, HOUR_MS, Action, TokenKind
from gpr_core.features.buckets import Buckets
from gpr_core.features.timeline import (
    FIELD_COLUMNS,
    ORDER_COLUMNS,
    TIMELINE_SCHEMA,
    build_timelines,
)
from tests.lake_rows import (
    DAY_0,
    make_ad_event,
    make_impression,
    make_organic_event,
    make_random_lake,
    make_request,
    make_small_lake,
    take_landed,
    take_until,
)

BUCKETS = Buckets(price_edges=(500, 1000), dwell_edges=(100, 1000, 30_000))
WINDOW = Window(DAY_0, DAY_0 + 9 * DAY_MS)


def build(tables, window=WINDOW):
    """Curate and build timelines in one engine."""
    with Engine() as engine:
        canonical = canonical_tables(tables, window, cell_min_users=1, engine=engine)
        return build_timelines(canonical, BUCKETS, window, session_gap_min=30, engine=engine)


def outline(timelines):
    """List (kind letter, hours since day 0, order key) of each token."""
    columns = (timelines[name].to_pylist() for name in ("kind", "ts", "order_key"))
    return [
        ("UOEI"[kind], round((ts - DAY_0) / HOUR_MS, 2), key)
        for kind, ts, key in zip(*columns, strict=True)
    ]


def fields(timelines, kind):
    """List the fields of the tokens of one kind."""
    rows = timelines.filter(pa.array(timelines["kind"].to_numpy() == kind))
    return [list(row.values()) for row in rows.select(list(FIELD_COLUMNS)).to_pylist()]


def test_events_become_tokens_in_the_order_in_which_they_happened():
    timelines = build(make_small_lake())
    assert timelines.schema.equals(TIMELINE_SCHEMA)
    assert outline(timelines) == [
        ("U", 1.0, 0),
        ("O", 1.0, 31),
        ("E", 2.0, 41),
        ("I", 2.0, 51),
        ("I", 2.0, 61),
        ("U", 26.0, 0),
        ("E", 26.0, 42),
        ("I", 26.0, 52),
    ]
    assert timelines["user_key"].to_pylist() == [1] * 8
    assert timelines["item_kind"].to_pylist() == [0, 2, 0, 1, 1, 0, 0, 1]
    assert timelines["item_key"].to_pylist() == [0, 11, 0, 21, 21, 0, 0, 21]
    assert timelines["action"].to_pylist() == [0, 1, 0, 0, 1, 0, 0, 0]
    assert timelines["request_key"].to_pylist() == [0, 0, 41, 41, 41, 0, 42, 42]


def test_fields_say_what_was_known_at_the_token():
    timelines = build(make_small_lake())
    # Statistics of day 1 land with it: unknown before, group 5 and category 7 (+1) after.
    assert fields(timelines, TokenKind.USER) == [[3, 2, 4, 9, 2, 2, 0, 0], [3, 2, 4, 9, 2, 2, 5, 8]]
    assert fields(timelines, TokenKind.ORGANIC) == [[3, 2, 2, 7, 3, 6, 0, 0]]
    # 02:00 is hour 3 of 24; Thursday is day 4, Friday day 5.
    assert fields(timelines, TokenKind.ENVIRONMENT) == [
        [2, 3, 4, 2, 1, 3, 3, 4],
        [2, 3, 4, 2, 1, 3, 3, 5],
    ]
    assert fields(timelines, TokenKind.ITEM) == [
        [1, 2, 2, 1, 4, 8, 0, 0],
        [2, 2, 2, 1, 4, 8, 0, 0],
        [1, 2, 2, 2, 4, 8, 0, 0],
    ]


def test_at_equal_times_the_kind_decides_then_the_key():
    at = DAY_0 + HOUR_MS
    tables = make_small_lake(
        requests=[make_request(41, ts=at)],
        impressions=[make_impression(51, request=41, ts=at)],
        organic_events=[make_organic_event(key, ts=at) for key in (9, 8)],
        ad_events=[],
    )
    kinds = [(kind, key) for kind, _, key in outline(build(tables))]
    assert kinds == [("U", 0), ("O", 8), ("O", 9), ("E", 41), ("I", 51)]


def test_a_profile_is_said_again_only_when_it_changed_and_only_once_a_day():
    user = {"user_key": 1, "consent": 1}
    users = [user | {"valid_from": DAY_0, "age_bucket": 1}]
    users.append(user | {"valid_from": DAY_0 + 90 * 60_000, "age_bucket": 2})
    times = [(1, 1), (2, 2), (3, 24 + 1), (4, 24 + 2), (5, 48 + 1)]
    tables = make_small_lake(
        users=users,
        user_stats_daily=[],
        organic_events=[make_organic_event(key, ts=DAY_0 + h * HOUR_MS) for key, h in times],
        requests=[],
        impressions=[],
        ad_events=[],
    )
    timelines = build(tables)
    assert [token for token in outline(timelines) if token[0] == "U"] == [("U", 1, 0), ("U", 25, 0)]
    assert [row[0] for row in fields(timelines, TokenKind.USER)] == [1, 2]


def test_a_late_event_is_unseen_whenever_it_happened():
    tables = make_small_lake()
    window = Window(DAY_0, DAY_0 + 2 * DAY_MS)
    late = make_organic_event(32, ts=DAY_0 + HOUR_MS + 1, ingest_ts=window.cutoff_ts)
    with Engine() as engine:
        canonical = canonical_tables(tables, window, cell_min_users=1, engine=engine)
        extra = make_small_lake(organic_events=[make_organic_event(31, ts=DAY_0 + HOUR_MS), late])
        spoiled = canonical | {"organic_events": extra["organic_events"]}
        builds = [
            build_timelines(given, BUCKETS, window, session_gap_min=30, engine=engine)
            for given in (canonical, spoiled)
        ]
    assert builds[0].equals(builds[1])


def test_items_of_a_request_before_the_window_are_left_out():
    window = Window(DAY_0 + DAY_MS, DAY_0 + 2 * DAY_MS)
    shown = outline(build(make_small_lake(), window))
    assert shown == [("U", 26.0, 0), ("E", 26.0, 42), ("I", 26.0, 52)]


def test_synthetic_requests_are_not_history():
    requests = [
        make_request(41, ts=DAY_0 + HOUR_MS),
        make_request(42, ts=DAY_0 + 2 * HOUR_MS) | {"is_synthetic": True},
    ]
    timelines = build(make_small_lake(requests=requests))
    assert [key for kind, _, key in outline(timelines) if kind == "E"] == [41]


def test_a_private_session_is_a_sequence_of_its_own_with_nothing_known():
    strict = [
        make_request(41, ts=DAY_0 + 2 * HOUR_MS, privacy=1),
        make_request(42, ts=DAY_0 + DAY_MS + 2 * HOUR_MS),
    ]
    timelines = build(make_small_lake(requests=strict))
    is_own = timelines["user_key"].to_numpy() == 1
    own, private = (timelines.filter(pa.array(mask)) for mask in (is_own, ~is_own))
    assert outline(own) == [
        ("U", 1.0, 0),
        ("O", 1.0, 31),
        ("U", 26.0, 0),
        ("E", 26.0, 42),
        ("I", 26.0, 52),
    ]
    assert outline(private) == [("U", 2.0, 0), ("E", 2.0, 41), ("I", 2.0, 51), ("I", 2.0, 61)]
    assert len(set(private["user_key"].to_pylist())) == 1
    assert fields(private, TokenKind.USER) == [[0] * 8]


def test_a_later_window_reads_the_earlier_days_alike():
    tables = make_random_lake(5)
    short = Window(DAY_0, DAY_0 + 3 * DAY_MS)
    early = build(take_landed(tables, short.cutoff_ts), short)
    late = build(tables)
    organic = late["ingest_ts"].to_numpy() < short.cutoff_ts
    not_user = late["kind"].to_numpy() != TokenKind.USER
    is_early = early["kind"].to_numpy() != TokenKind.USER
    assert early.filter(pa.array(is_early)).num_rows > 100
    # U tokens apart: one moves when an organic event of its day arrives a day late.
    columns = [name for name in TIMELINE_SCHEMA.names if name != "user_key"]
    assert (
        early.filter(pa.array(is_early))
        .select(columns)
        .sort_by([("kind", "ascending"), ("order_key", "ascending")])
        .equals(
            late.filter(pa.array(organic & not_user))
            .select(columns)
            .sort_by([("kind", "ascending"), ("order_key", "ascending")])
        )
    )


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000))
def test_tokens_are_ordered_and_every_sequence_begins_with_its_user(seed):
    timelines = build(make_random_lake(seed))
    assert timelines.equals(timelines.sort_by([(name, "ascending") for name in ORDER_COLUMNS]))
    user, kind = (timelines[name].to_numpy() for name in ("user_key", "kind"))
    first = np.flatnonzero(np.append(True, user[1:] != user[:-1]))
    assert (kind[first] == TokenKind.USER).all()
    keys = timelines.select(["kind", "action", "order_key", "user_key", "ts"])
    assert keys.group_by(keys.column_names).aggregate([]).num_rows == keys.num_rows


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), hours=st.integers(1, 95))
def test_nothing_that_happens_later_changes_an_earlier_token(seed, hours):
    tables, ts = make_random_lake(seed), DAY_0 + hours * HOUR_MS
    # Events that arrive late are known later than they happened; here all are known in time.
    in_time = {
        name: rows.set_column(
            rows.schema.get_field_index("ingest_ts"),
            rows.schema.field("ingest_ts"),
            rows["event_ts" if name == "ad_events" else "ts"],
        )
        if name in ("ad_events", "organic_events")
        else rows
        for name, rows in tables.items()
    }
    whole, past = build(in_time), build(take_until(in_time, ts))
    seen = whole.filter(pa.array(whole["ts"].to_numpy() <= ts))
    assert seen.num_rows > 0
    assert seen.equals(past)


@settings(max_examples=3, deadline=None, derandomize=True)
@given(delay_hours=st.integers(1, 7 * 24))
def test_a_conversion_is_seen_from_its_own_time_on_and_not_before(delay_hours):
    click_ts = DAY_0 + 2 * HOUR_MS + 5000
    ts = click_ts + delay_hours * HOUR_MS
    requests = [make_request(41 + day, ts=DAY_0 + 2 * HOUR_MS + day * DAY_MS) for day in range(8)]
    shown = [
        make_impression(51 + day, request=41 + day, ts=request["ts"] + 1000)
        for day, request in enumerate(requests)
    ]
    events = [make_ad_event(1, imp=51, kind=1, ts=click_ts)]
    events.append(make_ad_event(2, imp=51, kind=2, ts=ts))
    timelines = build(make_small_lake(requests=requests, impressions=shown, ad_events=events))
    kind, action, at = (timelines[name].to_numpy() for name in ("kind", "action", "ts"))
    converted = np.flatnonzero((kind == TokenKind.ITEM) & (action == Action.CONVERSION))
    assert at[converted].tolist() == [ts]
    before = np.flatnonzero((kind == TokenKind.ENVIRONMENT) & (at < ts))
    after = np.flatnonzero((kind == TokenKind.ENVIRONMENT) & (at > ts))
    assert (before < converted[0]).all()
    assert (after > converted[0]).all()
