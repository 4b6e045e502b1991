import pyarrow as pa
import pytest

from gpr_core.data.engine import Engine, relation

ROWS = pa.table({"key": pa.array([3, 1, 2], pa.uint64()), "value": pa.array([30, 10, None])})


def test_rows_come_back_ordered_and_in_the_schema_asked_for():
    schema = pa.schema([pa.field("value", pa.int16()), pa.field("key", pa.uint64())])
    with Engine() as engine:
        found = engine.collect(relation(ROWS), ["key"], schema)
    assert found.schema.equals(schema)
    assert found.to_pydict() == {"value": [10, None, 30], "key": [1, 2, 3]}


def test_a_null_in_a_column_that_may_not_hold_one_is_refused():
    schema = pa.schema([pa.field("value", pa.int64(), nullable=False)])
    with Engine() as engine, pytest.raises(ValueError, match="null"):
        engine.collect(relation(ROWS), ["value"], schema)


def test_threads_do_not_change_the_result():
    rows = pa.table({"key": pa.array(range(50_000), pa.int64())})
    tables = []
    for threads in (1, 2):
        with Engine(threads) as engine:
            table = relation(rows)
            shuffled = table.mutate(part=table["key"] * 7919 % 1000)
            schema = pa.schema([("part", pa.int64()), ("key", pa.int64())])
            tables.append(engine.collect(shuffled, ["part", "key"], schema))
    assert tables[0].equals(tables[1])
