from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.data.as_of import Window, as_of_join, check_nothing_after, with_valid_to
from gpr_core.data.engine import Engine, relation
from gpr_core.data.tables import DAY_MS
from gpr_core.support.errors import ConfigError, LeakageError
from tests.lake_rows import DAY_0, make_request, make_table

OUT = pa.schema([("key", pa.int64()), ("ts", pa.int64()), ("value", pa.int64())])


def make_columns(names, rows):
    """Turn a list of tuples into a table of int64 columns."""
    columns = zip(*rows, strict=True)
    return pa.table({n: pa.array(c, pa.int64()) for n, c in zip(names, columns, strict=True)})


def join(left, right):
    """Join lists of (key, ts) and (key, ts, value) as of the left time."""
    left_table = make_columns(("key", "ts"), left)
    right_table = make_columns(("key", "from_ts", "value"), right)
    joined = as_of_join(
        relation(left_table),
        relation(right_table),
        key="key",
        ts="ts",
        right_ts="from_ts",
        columns=["value"],
    )
    with Engine() as engine:
        rows = engine.collect(joined, ["key", "ts"], OUT).to_pylist()
    return [tuple(row.values()) for row in rows]


def test_a_row_meets_the_latest_version_that_is_not_from_later():
    right = [(1, 10, 100), (1, 20, 200), (2, 5, 300)]
    left = [(1, 9), (1, 10), (1, 19), (1, 20), (2, 4), (2, 99), (3, 1)]
    assert join(left, right) == [
        (1, 9, None),
        (1, 10, 100),
        (1, 19, 100),
        (1, 20, 200),
        (2, 4, None),
        (2, 99, 300),
        (3, 1, None),
    ]


def test_equal_left_rows_are_all_kept():
    assert join([(1, 5), (1, 5)], [(1, 5, 8)]) == [(1, 5, 8), (1, 5, 8)]


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    left=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 30)), min_size=1, max_size=20),
    right=st.dictionaries(
        st.tuples(st.integers(0, 3), st.integers(0, 30)), st.integers(), min_size=1, max_size=20
    ),
)
def test_the_join_agrees_with_a_loop(left, right):
    bounded = {key: value % 1000 for key, value in right.items()}
    expected = []
    for key, ts in sorted(left):
        known = [(at, value) for (other, at), value in bounded.items() if other == key and at <= ts]
        expected.append((key, ts, max(known)[1] if known else None))
    assert join(left, [(*key, value) for key, value in bounded.items()]) == expected


def test_a_version_ends_where_the_next_one_begins():
    rows = make_table(
        "ad_versions",
        {"ad_key": 1, "valid_from": 10},
        {"ad_key": 1, "valid_from": 30},
        {"ad_key": 1, "valid_from": 20, "valid_to": 25},
        {"ad_key": 2, "valid_from": 15, "valid_to": 18},
    )
    with Engine() as engine:
        ended = engine.collect(
            with_valid_to(relation(rows), "ad_key"), ["ad_key", "valid_from"], rows.schema
        )
    assert ended["valid_from"].to_pylist() == [10, 20, 30, 15]
    assert ended["valid_to"].to_pylist() == [20, 25, None, 18]


def test_a_row_from_the_cutoff_on_is_a_leak():
    rows = make_table("requests", make_request(1, ts=99), make_request(2, ts=100))
    check_nothing_after({"requests": rows}, 101)
    with pytest.raises(LeakageError, match="1 of 2 rows of requests landed at or after"):
        check_nothing_after({"requests": rows}, 100)


def test_a_window_ends_with_its_day():
    window = Window.ending(date(2026, 1, 3), 2)
    assert window == Window(DAY_0 + DAY_MS, DAY_0 + 3 * DAY_MS)
    assert np.diff([window.start_ts, window.cutoff_ts]).tolist() == [2 * DAY_MS]


def test_an_empty_window_is_refused():
    with pytest.raises(ConfigError, match="is empty"):
        Window.ending(date(2026, 1, 3), 0)
