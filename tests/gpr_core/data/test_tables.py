import pyarrow as pa
import pytest

from gpr_core.data.tables import TABLES, OrganicAction, TokenKind, sid_map_schema


def test_the_lake_has_twelve_tables():
    assert len(TABLES) == 12
    assert all(name == table.name for name, table in TABLES.items())


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_keys_and_landing_time_are_columns(table):
    assert set(table.key) <= set(table.schema.names)
    assert table.schema.field(table.landing_ts).type == pa.int64()


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_units_follow_the_names(table):
    for field in table.schema:
        if field.name.endswith("_key"):
            assert field.type == pa.uint64(), field.name
        if field.name == "ts" or field.name.endswith(("_ts", "_micros")):
            assert field.type == pa.int64(), field.name


def test_only_open_ends_snapshots_and_titles_may_be_null():
    nullable = {
        f"{table.name}.{field.name}"
        for table in TABLES.values()
        for field in table.schema
        if field.nullable
    }
    assert nullable == {
        "users.valid_to",
        "ad_versions.valid_to",
        "requests.snapshot_id",
        "ads.title",
        "content.title",
    }


def test_titles_are_for_people():
    for name in ("ads", "content"):
        unit = TABLES[name].schema.field("title").metadata[b"unit"]
        assert unit == b"text for people, never a feature"


def test_the_semantic_id_table_has_a_column_per_level():
    schema = sid_map_schema(3)
    assert schema.names[2:5] == ["c1", "c2", "c3"]


def test_codes_that_are_stored_never_change():
    assert [kind.value for kind in TokenKind] == [0, 1, 2, 3, 4]
    assert [action.name for action in OrganicAction][-1] == "SKIP"
