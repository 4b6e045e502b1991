import numpy as np
import pytest

from gpr_core.data.as_of import Window
from gpr_core.data.curation import CURATED_TABLES, canonical_tables
from gpr_core.data.engine import Engine
from gpr_core.data.tables import DAY_MS, HOUR_MS, TABLES
from gpr_core.support.errors import ContractError, LeakageError
from tests.lake_rows import (
    DAY_0,
    make_impression,
    make_lake_tables,
    make_organic_event,
    make_random_lake,
    make_request,
    make_small_lake,
)

WINDOW = Window(DAY_0, DAY_0 + 9 * DAY_MS)


def curate(tables, window=WINDOW, cell_min_users=1):
    """Clean tables in a fresh engine."""
    with Engine() as engine:
        return canonical_tables(tables, window, cell_min_users=cell_min_users, engine=engine)


def test_tables_keep_their_schema_and_are_ordered_by_key():
    curated = curate(make_small_lake())
    assert tuple(curated) == CURATED_TABLES
    for name, rows in curated.items():
        assert rows.schema.equals(TABLES[name].schema)
        assert rows.equals(rows.sort_by([(column, "ascending") for column in TABLES[name].key]))


def test_a_key_that_comes_twice_is_kept_once():
    first, second = make_request(41, ts=DAY_0 + 5), make_request(41, ts=DAY_0 + 9)
    curated = curate(make_lake_tables(requests=(second, first, second, first)))
    assert curated["requests"]["ts"].to_pylist() == [DAY_0 + 5]


def test_rows_before_the_window_are_cut():
    tables = make_lake_tables(
        requests=[make_request(1, ts=DAY_0 - 1), make_request(2, ts=DAY_0)],
        organic_events=[
            make_organic_event(1, ts=DAY_0 - 1, ingest_ts=DAY_0 + 1),
            make_organic_event(2, ts=DAY_0),
        ],
    )
    curated = curate(tables)
    assert curated["requests"]["request_key"].to_pylist() == [2]
    assert curated["organic_events"]["ev_key"].to_pylist() == [2]


def test_a_row_from_after_the_cutoff_is_a_leak():
    tables = make_small_lake(requests=[make_request(1, ts=WINDOW.cutoff_ts)])
    with pytest.raises(LeakageError, match="1 of 1 rows of requests"):
        curate(tables)


def test_a_missing_table_is_named():
    tables = make_small_lake()
    del tables["content"]
    with pytest.raises(ContractError, match="tables are missing: content"):
        curate(tables)


CELL = ("age_bucket", "gender", "geo_l1", "geo_l2")


def cells(users):
    """Give the cell of each user version after curation, at least three users in each."""
    rows = curate(make_lake_tables(users=users), cell_min_users=3)["users"]
    return [tuple(row[name] for name in CELL) for row in rows.to_pylist()]


def make_user(key, age, gender, city, hours=0):
    """Build a user version in region 1."""
    row = {"user_key": key, "valid_from": DAY_0 + hours * HOUR_MS, "age_bucket": age}
    return row | {"gender": gender, "geo_l1": 1, "geo_l2": city}


def test_a_city_is_hidden_where_few_share_it():
    users = [make_user(key, 2, 1, 7) for key in (1, 2, 3)]
    users += [make_user(key, 2, 1, city) for key, city in ((4, 8), (5, 8), (6, 9))]
    assert cells(users) == [(2, 1, 1, 7)] * 3 + [(2, 1, 1, 0)] * 3


def test_then_the_age_and_the_region_are_hidden_then_the_gender():
    users = [make_user(1, 2, 1, 7), make_user(2, 3, 1, 7), make_user(3, 4, 1, 7)]
    users += [make_user(4, 5, 2, 7), make_user(5, 6, 2, 8)]
    assert cells(users) == [(0, 1, 0, 0)] * 3 + [(0, 0, 0, 0)] * 2


def test_versions_of_one_user_count_once():
    users = [make_user(1, 2, 1, 7, hours) for hours in (0, 1, 2)]
    assert cells(users) == [(0, 0, 0, 0)] * 3


def test_the_first_impression_of_a_request_is_kept():
    shown = [
        make_impression(51, request=41, ts=DAY_0 + 7),
        make_impression(53, request=41, ts=DAY_0 + 5),
        make_impression(52, request=41, ts=DAY_0 + 5),
    ]
    curated = curate(make_lake_tables(impressions=shown))
    assert curated["impressions"]["imp_key"].to_pylist() == [52]


def test_the_result_does_not_depend_on_the_order_of_the_rows():
    tables = make_random_lake(0)
    backwards = {
        name: rows.take(np.arange(rows.num_rows)[::-1].copy()) for name, rows in tables.items()
    }
    assert curate(tables, cell_min_users=3) == curate(backwards, cell_min_users=3)
