from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.structure import (
    arrow_type,
    check_shape_of_table,
    check_values,
    contract_schema,
)
from tests.data_contracts.contracts import make_contract

LISTS = {
    "name": "x",
    "logicalType": "array",
    "physicalType": "list<float32>",
    "required": True,
    "description": "Vector.",
}


def make_table(**columns):
    rows = {"ad_key": [1, 2, 3], "ts": [5, 6, 7], "price": [1.0, None, 3.0], **columns}
    schema = contract_schema(make_contract())
    return pa.table({name: pa.array(rows[name], schema.field(name).type) for name in schema.names})


def shape(table, contract=None, *, is_partition=False, **days):
    contract = contract or make_contract()
    found = check_shape_of_table(contract, table, is_partition=is_partition, **days)
    return {item.rule.id: item.message for item in found if item.status == "failed"}


def values(table, contract=None):
    found = check_values(contract or make_contract(), table)
    return {item.rule.id: item.rows.tolist() for item in found if item.status == "failed"}


@pytest.mark.parametrize(
    ("text", "kind"),
    [("uint8", pa.uint8()), ("string", pa.string()), ("list<float32>", pa.list_(pa.float32()))],
)
def test_physical_types_are_arrow_types(text, kind):
    assert arrow_type(text) == kind


def test_a_sound_table_passes():
    assert shape(make_table()) == {}
    assert values(make_table()) == {}


def test_a_missing_column_is_named():
    assert shape(make_table().drop_columns(["ts"])) == {"AD-COLUMNS": "missing column 'ts'"}


def test_an_unknown_column_is_named_with_the_known_ones():
    table = make_table().append_column("prise", pa.array([1.0, 1.0, 1.0]))
    message = shape(table)["AD-COLUMNS"]
    assert message.startswith("unknown column 'prise' (did you mean 'price'?")


def test_a_column_may_not_appear_twice():
    table = make_table().append_column("ts", pa.array([5, 6, 7]))
    assert "column 'ts' appears more than once" in shape(table)["AD-COLUMNS"]


def test_a_wrong_type_is_named_with_both_types():
    table = make_table().set_column(1, "ts", pa.array([5.0, 6.0, 7.0]))
    assert shape(table) == {
        "AD-TYPES": "column 'ts' has type double, the contract says int64",
    }


def test_types_of_larger_offsets_hold_the_same_values():
    contract = make_contract(properties=[LISTS])
    for kind in (pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 1)):
        table = make_table().append_column("x", pa.array([[1.0], [2.0], [3.0]], kind))
        assert shape(table, contract) == {}


def test_open_columns_hold_numbers_only():
    contract = make_contract(open_columns=True)
    assert shape(make_table().append_column("loss", pa.array([1.0, 2.0, 3.0])), contract) == {}
    text = make_table().append_column("loss", pa.array(["a", "b", "c"]))
    assert "unknown column 'loss'" in shape(text, contract)["AD-COLUMNS"]


def test_an_empty_table_is_refused_unless_the_contract_lets_a_partition_be_empty():
    empty = make_table().slice(0, 0)
    text = "the table is empty: zero rows were checked, which is no pass"
    assert shape(empty) == {"AD-ROWS": text}
    daily = make_contract(allow_empty="partition")
    assert shape(empty, daily) == {"AD-ROWS": text}
    assert shape(empty, daily, is_partition=True) == {}
    assert shape(empty, is_partition=True, empty_days_high=1.0) == {}
    assert shape(empty, make_contract(allow_empty="always")) == {}


def test_an_empty_day_is_refused_unless_the_contract_lets_a_day_be_empty():
    landed = {date(2026, 1, 1): 3, date(2026, 1, 2): 0}
    text = "no row landed on 2026-01-02 (empty days: 1 of 2, at most 0 may be)"
    assert shape(make_table(), landed=landed) == {"AD-ROWS": text}
    assert shape(make_table(), landed=landed, empty_days_high=1.0) == {}
    assert shape(make_table(), make_contract(allow_empty="partition"), landed=landed) == {}
    assert shape(make_table(), make_contract(allow_empty="always"), landed=landed) == {}


def test_nulls_count_in_required_columns_only():
    assert values(make_table(ts=[5, None, 7])) == {"AD-NULLS": [1]}


def test_nan_and_infinity_are_found():
    assert values(make_table(price=[float("nan"), None, float("-inf")])) == {"AD-FINITE": [0, 2]}


def test_lists_are_looked_into():
    contract = make_contract(properties=[LISTS])
    x = pa.array([[1.0, None], [], [float("nan")]], pa.list_(pa.float32()))
    table = make_table().append_column("x", x)
    assert values(table, contract) == {"AD-NULLS": [0], "AD-FINITE": [2]}


def test_keys_lie_between_1_and_2_to_the_63():
    assert values(make_table(ad_key=[0, (1 << 63) - 1, 1 << 63])) == {"AD-KEYS": [0, 2]}


def test_the_first_row_of_a_key_is_kept():
    assert values(make_table(ad_key=[4, 4, 4])) == {"AD-UNIQUE": [1, 2]}


def test_large_keys_stay_exact_beside_nulls():
    large = (1 << 62) + 1
    table = make_table(ad_key=[large, large + 1, None])
    assert values(table) == {"AD-NULLS": [2]}


def test_examples_show_the_failing_values():
    [finding] = [
        item
        for item in check_values(make_contract(), make_table(price=[1.0, float("nan"), 3.0]))
        if item.status == "failed"
    ]
    assert finding.message == "1 of 3 rows have a NaN or infinite value (price)"
    assert finding.shown is not None
    assert np.isnan(finding.shown["price"][0])
