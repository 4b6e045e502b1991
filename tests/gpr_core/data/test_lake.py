import json
from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.lake import Lake
from gpr_core.data.table_columns import make_table
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_file

_ZSTD_FRAME = b"\x28\xb5\x2f\xfd"
FIRST, SECOND, THIRD = date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 3)


def ledger(*ad_keys):
    keys = np.array(ad_keys, dtype=np.uint64)
    columns = dict.fromkeys(TABLES["ad_spend_ledger"].schema.names, 1)
    return make_table("ad_spend_ledger", columns | {"ad_key": keys})


def tables(*ad_keys):
    empty = {name: table.schema.empty_table() for name, table in TABLES.items()}
    return empty | {"ad_spend_ledger": ledger(*ad_keys)}


def keys_of(table):
    return table.column("ad_key").to_pylist()


@pytest.fixture
def lake(tmp_path):
    filled = Lake(tmp_path / "lake")
    filled.append_day(FIRST, tables(1, 2), source="world")
    filled.append_day(SECOND, tables(3), source="world")
    return filled


def test_rows_come_back_in_landing_order(lake):
    assert keys_of(lake.read("ad_spend_ledger", FIRST, SECOND)) == [1, 2, 3]
    assert keys_of(lake.read("ad_spend_ledger", SECOND, THIRD)) == [3]


def test_days_without_partitions_give_no_rows(lake):
    table = lake.read("requests", THIRD, THIRD)
    assert table.num_rows == 0
    assert table.schema.equals(TABLES["requests"].schema)


def test_days_source_and_partitions_are_listed(lake):
    assert lake.days() == [FIRST, SECOND]
    assert lake.source() == "world"
    assert lake.partition("ad_spend_ledger", FIRST).rows == 2
    assert lake.partition("thoughts", FIRST).rows == 0


def test_a_new_lake_has_no_days(tmp_path):
    assert Lake(tmp_path / "none").days() == []
    assert Lake(tmp_path / "none").partitions("ads", FIRST, SECOND) == {}


def test_equal_rows_give_equal_bytes(lake, tmp_path):
    other = Lake(tmp_path / "other")
    other.append_day(FIRST, tables(1, 2), source="world")
    first, second = (one.partition("ad_spend_ledger", FIRST) for one in (lake, other))
    assert first == second


def test_a_landed_day_is_immutable(lake):
    with pytest.raises(ArtifactError, match="day 2026-01-02 has landed already"):
        lake.append_day(SECOND, tables(9), source="world")
    assert keys_of(lake.read("ad_spend_ledger", SECOND, SECOND)) == [3]


def test_days_land_in_order(lake):
    with pytest.raises(ArtifactError, match="day 2025-12-31 would land after 2026-01-02"):
        lake.append_day(date(2025, 12, 31), tables(9), source="world")


def test_another_source_is_refused(lake):
    with pytest.raises(ArtifactError, match="this lake holds 'world', not 'movielens'"):
        lake.append_day(THIRD, tables(9), source="movielens")


def test_a_missing_table_is_refused(lake):
    incomplete = {name: rows for name, rows in tables(9).items() if name != "thoughts"}
    with pytest.raises(ArtifactError, match="table 'thoughts' is missing"):
        lake.append_day(THIRD, incomplete, source="world")
    assert lake.days() == [FIRST, SECOND]


def test_an_unknown_table_is_refused_with_the_nearest_name(lake):
    with pytest.raises(ArtifactError, match="did you mean 'impressions'"):
        lake.append_day(THIRD, tables(9) | {"impresions": ledger(1)}, source="world")
    with pytest.raises(ArtifactError, match="did you mean 'ads'"):
        lake.read("adds", FIRST, SECOND)
    with pytest.raises(ArtifactError, match="unknown table 'spend'"):
        lake.partition("spend", FIRST)


def test_another_schema_is_refused(lake):
    wrong = ledger(1).set_column(1, "ts", pa.array([1.5]))
    with pytest.raises(ArtifactError, match="table 'ad_spend_ledger' has another schema"):
        lake.append_day(THIRD, tables(9) | {"ad_spend_ledger": wrong}, source="world")


def test_a_changed_file_is_corrupt(lake):
    path = lake.path("ad_spend_ledger", SECOND)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ArtifactError, match="partition is corrupt"):
        lake.read("ad_spend_ledger", FIRST, SECOND)


def test_an_unreadable_file_is_refused_even_unverified(lake):
    lake.path("ad_spend_ledger", SECOND).write_bytes(b"not parquet")
    with pytest.raises(ArtifactError, match="partition is not readable Parquet"):
        lake.read("ad_spend_ledger", FIRST, SECOND, verify=False)


def test_a_damaged_page_is_refused_though_the_hash_was_taken_after_the_damage(lake):
    path = lake.path("ad_spend_ledger", SECOND)
    data = path.read_bytes()
    assert _ZSTD_FRAME in data
    path.write_bytes(data.replace(_ZSTD_FRAME, b"oops"))
    manifest = read_json(lake.root / "manifest.json")
    manifest["days"][SECOND.isoformat()]["ad_spend_ledger"]["sha256"] = hash_file(path)
    write_json(lake.root / "manifest.json", manifest)
    with pytest.raises(
        ArtifactError,
        match=r"(?s)partition is not readable Parquet.*day=2026-01-02.*fix: restore the file",
    ):
        lake.read("ad_spend_ledger", FIRST, SECOND)


def test_partitions_come_back_apart_and_in_order(lake):
    lake.append_day(THIRD, tables(), source="world")
    parts = lake.read_days("ad_spend_ledger", FIRST, THIRD)
    assert {day: keys_of(rows) for day, rows in parts.items()} == {
        FIRST: [1, 2], SECOND: [3], THIRD: [],
    }  # fmt: skip
    entries = lake.partitions("ad_spend_ledger", SECOND, THIRD)
    assert [(day, entry.rows) for day, entry in entries.items()] == [(SECOND, 1), (THIRD, 0)]
    assert entries[SECOND] == lake.partition("ad_spend_ledger", SECOND)


def test_a_missing_file_is_refused(lake):
    lake.path("ad_spend_ledger", SECOND).unlink()
    with pytest.raises(ArtifactError, match="partition file is missing"):
        lake.read("ad_spend_ledger", FIRST, SECOND)


def test_a_day_that_has_not_landed_is_named(lake):
    with pytest.raises(ArtifactError, match=r"2026-01-03 has not landed; landed: 2026-01-01 \.\."):
        lake.partition("ads", THIRD)


def test_no_lake_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match="there is no lake here"):
        Lake(tmp_path / "none").source()


def test_day_manifests_name_what_steps_may_read(lake):
    folder = lake.root / "manifests"
    train = read_json(folder / "2026-01-01" / "train.json")
    assert list(train["days"]) == ["2026-01-01"]
    evaluation = read_json(folder / "2026-01-01" / "evaluation.json")
    assert list(evaluation["days"]) == ["2026-01-02"]
    both = read_json(folder / "2026-01-02" / "train.json")
    assert list(both["days"]) == ["2026-01-01", "2026-01-02"]
    assert not (folder / "2026-01-02" / "evaluation.json").exists()


def test_a_later_day_leaves_earlier_manifests_alone(lake):
    path = lake.root / "manifests" / "2026-01-01" / "train.json"
    before = path.read_bytes()
    lake.append_day(THIRD, tables(4), source="world")
    assert path.read_bytes() == before


def test_a_landing_that_died_before_its_manifest_can_be_repeated(lake):
    path = lake.path("ad_spend_ledger", THIRD)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a file")
    assert lake.days() == [FIRST, SECOND]
    lake.append_day(THIRD, tables(4), source="world")
    assert keys_of(lake.read("ad_spend_ledger", THIRD, THIRD)) == [4]
    assert json.loads((lake.root / "manifest.json").read_text())["schema_version"] == 1
