import pyarrow as pa

from gpr_core.data.engine import Engine, relation
from gpr_core.data.tables import DAY_MS, HOUR_MS, TokenKind
from gpr_core.features import token_fields
from gpr_core.features.buckets import Buckets
from gpr_core.features.fields import FIELDS
from tests.lake_rows import DAY_0, make_organic_event, make_request, make_table

BUCKETS = Buckets(price_edges=(100, 200), dwell_edges=(10, 20))


def evaluate(table, fields):
    """Compute field expressions, one list per row in the order of the column `row`."""
    names = [f"f{idx}" for idx in range(len(fields))]
    schema = pa.schema([("row", pa.int64()), *((name, pa.int16()) for name in names)])
    with Engine() as engine:
        rows = engine.collect(
            table.mutate(**dict(zip(names, fields, strict=True))), ["row"], schema
        )
    return [list(row.values())[1:] for row in rows.to_pylist()]


def numbered(rows):
    """Add a row number to an Arrow table and wrap it."""
    return relation(rows.append_column("row", pa.array(range(rows.num_rows))))


def test_profile_fields_keep_their_unknown_and_the_others_are_shifted():
    columns = (*token_fields.PROFILE_COLUMNS, *token_fields.STATS_COLUMNS)
    values = [[6, 2, 4, 9, 0, 1, 5, 0], [0, 0, 900, 900, 99, 0, None, None], [None] * 8]
    columns_of = zip(columns, zip(*values, strict=True), strict=True)
    table = numbered(pa.table({name: pa.array(column, pa.int16()) for name, column in columns_of}))
    assert evaluate(table, token_fields.user_fields(table)) == [
        [6, 2, 4, 9, 1, 2, 5, 1],
        [0, 0, 63, 511, 7, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_the_top_category_is_the_first_listed_one():
    stats = make_table(
        "user_stats_daily",
        {"user_key": 1, "top_cats": [7, 2]},
        {"user_key": 2, "top_cats": []},
    )
    table = token_fields.with_top_category(numbered(stats))
    assert evaluate(table, (table["top_category"],)) == [[7], [None]]


def test_organic_fields_are_buckets_and_shifted_codes():
    events = make_table(
        "organic_events",
        make_organic_event(1, ts=DAY_0, action=5, dwell_ms=9, completion=0.0),
        make_organic_event(2, ts=DAY_0, action=0, dwell_ms=20, completion=0.5),
        make_organic_event(3, ts=DAY_0, action=0, dwell_ms=15, completion=1.0),
    )
    table = numbered(events).mutate(kind=2, cat_l1=3, topic_brand=5000)
    assert evaluate(table, token_fields.organic_fields(table, BUCKETS)) == [
        [3, 6, 1, 1, 4, 2047],
        [3, 1, 3, 4, 4, 2047],
        [3, 1, 2, 7, 4, 2047],
    ]


def test_hours_and_weekdays_are_those_of_utc():
    # 2026-01-01 was a Thursday, day 4 of a week that begins with 1 for Monday.
    requests = make_table(
        "requests",
        make_request(1, ts=DAY_0),
        make_request(2, ts=DAY_0 + 4 * DAY_MS - 1),
        make_request(3, ts=DAY_0 + 4 * DAY_MS + 13 * HOUR_MS),
    )
    table = numbered(requests)
    assert evaluate(table, token_fields.environment_fields(table)) == [
        [2, 3, 4, 2, 1, 3, 1, 4],
        [2, 3, 4, 2, 1, 3, 24, 7],
        [2, 3, 4, 2, 1, 3, 14, 1],
    ]


def test_item_fields_know_the_age_of_the_ad_at_their_own_time():
    rows = pa.table(
        {
            "action": [0, 2, 1],
            "price_micros": [99, 100, 5000],
            "bid_type_at": [0, 2, 1],
            "ts": [DAY_0, DAY_0 + 3 * DAY_MS, DAY_0 - 1],
            "launch_ts": [DAY_0] * 3,
            "cat_l1": [0, 126, 500],
            "brand": [0, 1, 2],
        }
    )
    table = numbered(rows)
    assert evaluate(table, token_fields.item_fields(table, BUCKETS)) == [
        [1, 1, 1, 1, 1, 1],
        [3, 2, 3, 3, 127, 2],
        [2, 3, 2, 0, 127, 3],
    ]


def test_every_kind_fills_at_most_its_own_fields():
    assert {kind: len(fields) for kind, fields in FIELDS.items()} == {
        TokenKind.USER: 8,
        TokenKind.ORGANIC: 6,
        TokenKind.ENVIRONMENT: 8,
        TokenKind.ITEM: 6,
    }
