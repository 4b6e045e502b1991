import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.table_columns import make_table, ragged, vectors
from gpr_core.data.tables import TABLES

COLUMNS = {
    "ad_key": np.array([1, 2], dtype=np.uint64),
    "ts": np.array([10, 20]),
    "seq": np.array([0, 1], dtype=np.int32),
    "delta_micros": 5,
    "cum_day_micros": np.array([5, 10]),
    "cum_total_micros": np.array([5, 10]),
}


def test_columns_take_the_schema_of_the_lake():
    table = make_table("ad_spend_ledger", COLUMNS)
    assert table.schema.equals(TABLES["ad_spend_ledger"].schema)
    assert table.column("delta_micros").to_pylist() == [5, 5]
    assert table.column("seq").to_pylist() == [0, 1]


def test_none_is_a_column_of_nulls():
    columns = {name: np.array([1]) for name in TABLES["ad_versions"].schema.names}
    columns |= {"valid_to": None, "geo_set": pa.array([[1, 2]])}
    assert make_table("ad_versions", columns).column("valid_to").to_pylist() == [None]


def test_a_value_that_does_not_fit_is_refused():
    with pytest.raises(pa.ArrowInvalid, match="not in range"):
        make_table("requests", {name: np.array([1000]) for name in TABLES["requests"].schema.names})


def test_a_missing_column_is_refused():
    with pytest.raises(KeyError, match="seq"):
        make_table("ad_spend_ledger", {key: COLUMNS[key] for key in COLUMNS if key != "seq"})


def test_matrix_rows_become_lists():
    matrix = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.float32)
    assert vectors(matrix).to_pylist() == [[1, 2], [3, 4], [5, 6]]


def test_an_empty_matrix_becomes_no_lists():
    assert vectors(np.zeros((0, 4), dtype=np.float32)).to_pylist() == []


def test_ragged_keeps_the_marked_entries():
    keep = np.array([[True, False], [False, False], [True, True]])
    values = np.array([[1, 2], [3, 4], [5, 6]], dtype=np.int16)
    assert ragged(keep, values).to_pylist() == [[1], [], [5, 6]]
