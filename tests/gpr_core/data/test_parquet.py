"""A Parquet file is there as a whole or not at all."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpr_core.data.parquet import write_parquet

TABLE = pa.table({"x": [1, 2, 3]})


def test_rows_come_back_and_equal_tables_are_equal_bytes(tmp_path):
    for name in ("one", "two"):
        write_parquet(tmp_path / name / "x.parquet", TABLE)
    assert pq.read_table(tmp_path / "one" / "x.parquet").equals(TABLE)
    first, second = ((tmp_path / name / "x.parquet").read_bytes() for name in ("one", "two"))
    assert first == second


def test_a_write_that_fails_leaves_the_old_rows_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "x.parquet"
    write_parquet(path, TABLE)

    def full(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        write_parquet(path, pa.table({"x": [4]}))
    assert pq.read_table(path).equals(TABLE)
