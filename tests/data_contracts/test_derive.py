import math

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.derive import DerivedRows, names_for_measure
from gpr_core.support.errors import ConfigError
from tests.data_contracts.contracts import make_contract

ADS = pa.table(
    {
        "ad_key": pa.array([1, 2, 3], pa.uint64()),
        "ts": pa.array([10, 20, 30], pa.int64()),
        "price": pa.array([1.0, 2.0, None], pa.float64()),
    }
)
USERS = pa.table(
    {
        "user_key": pa.array([1, 1, 2, 2], pa.uint64()),
        "valid_from": pa.array([5, 10, 21, 22], pa.int64()),
        "gender": pa.array([1, 2, 1, 1], pa.int8()),
    }
)
ROWS = np.array([0, 1, 2])


def derive(contract, names, *, table=ADS, rows=ROWS, parameters=None):
    return DerivedRows(
        contract,
        table,
        rows,
        references={"users": USERS},
        parameters=parameters or {},
        names=names,
    )


def join(**changes):
    reference = {"table": "users", "keys": {"ad_key": "user_key"}, **changes}
    return make_contract(references=[reference])


def test_a_join_never_adds_rows():
    contract = join(columns={"first_ts": "min(valid_from)"})
    with derive(contract, ["first_ts"]) as derived:
        values = derived.frame(["first_ts"])["first_ts"]
    assert values[:2].tolist() == [5.0, 21.0]
    assert math.isnan(values[2])


def test_a_join_as_of_takes_the_last_row_that_was_valid():
    contract = join(columns={"gender_then": "gender"}, as_of={"at": "ts", "from": "valid_from"})
    with derive(contract, ["gender_then"]) as derived:
        values = derived.frame(["gender_then"])["gender_then"]
    # Ad 1 at 10: the row of 10 itself. Ad 2 at 20: both rows are later.
    assert values[0] == 2.0
    assert np.isnan(values[1])


def test_derived_columns_build_on_one_another():
    contract = make_contract(
        derived=[{"name": "twice", "sql": "2 * price"}, {"name": "big", "sql": "twice > $low"}],
        measures=[{"name": "rest", "sql": "sum(twice)"}],
        parameters=[{"name": "low", "value": 3, "reason": "so"}],
    )
    with derive(contract, ["big", "twice"], parameters={"low": 3.0}) as derived:
        frame = derived.frame(["big", "twice"])
        assert frame["twice"][:2].tolist() == [2.0, 4.0]
        assert frame["big"][:2].tolist() == [0.0, 1.0]
        assert derived.measure(contract.measures, np.array([1])) == {"rest": 2.0}


def test_rows_keep_their_position_in_the_table_that_was_handed_in():
    contract = make_contract()
    with derive(contract, ["price"], table=ADS.slice(1), rows=np.array([4, 9])) as derived:
        assert derived.frame(["price"]).index.tolist() == [4, 9]


def test_a_whole_select_reads_the_rows_that_survived():
    contract = make_contract(
        measures=[{"name": "rows", "sql": "SELECT count(*) FROM this", "tables": ["users"]}]
    )
    with derive(contract, []) as derived:
        assert derived.measure(contract.measures, np.array([0, 2])) == {"rows": 1.0}


def test_measures_tell_not_applicable_from_undefined():
    contract = make_contract(
        measures=[
            {"name": "none", "sql": "CASE WHEN count(*) > 9 THEN 1 END"},
            {"name": "infinite", "sql": "'inf'::DOUBLE"},
        ]
    )
    with derive(contract, []) as derived:
        values = derived.measure(contract.measures, np.zeros(0, dtype=np.int64))
    assert values["none"] is None
    assert math.isnan(values["infinite"])


def test_optional_columns_that_are_absent_read_as_null():
    optional = {
        "name": "extra",
        "logicalType": "integer",
        "physicalType": "int16",
        "required": True,
        "description": "More.",
        "may_be_absent": True,
    }
    contract = make_contract(
        properties=[optional], derived=[{"name": "sum", "sql": "coalesce(extra, 7)"}]
    )
    with derive(contract, ["sum"]) as derived:
        assert derived.frame(["sum"])["sum"].tolist() == [7, 7, 7]


def test_an_expression_that_cannot_run_names_its_contract():
    contract = make_contract(derived=[{"name": "bad", "sql": "nonsense(price)"}])
    with pytest.raises(ConfigError, match=r"(?s)cannot be computed.*tables/ads\.yaml"):
        derive(contract, ["bad"])


def test_a_measure_that_cannot_run_names_its_contract():
    contract = make_contract(measures=[{"name": "bad", "sql": "nonsense(price)"}])
    with (
        derive(contract, ["price"]) as derived,
        pytest.raises(ConfigError, match="cannot be computed"),
    ):
        derived.measure(contract.measures, np.zeros(0, dtype=np.int64))


def test_an_aggregate_names_the_columns_it_reads():
    contract = make_contract(
        measures=[
            {"name": "mean", "sql": "avg(price)"},
            {"name": "all", "sql": "SELECT avg(price) FROM this"},
        ]
    )
    assert [names_for_measure(contract, item) for item in contract.measures] == [{"price"}, set()]
