import numpy as np
import pyarrow as pa

from data_contracts.lineage import Needs
from data_contracts.rule_checks import Setting, check_rules
from tests.data_contracts.contracts import make_contract, raw_drift, raw_rule

DAY = 86_400_000
NO_ROWS = np.zeros(0, dtype=np.int64)


def make_table(price, days=None):
    return pa.table(
        {
            "ad_key": pa.array(np.arange(1, len(price) + 1), pa.uint64()),
            "ts": pa.array(np.asarray(days if days is not None else np.zeros(len(price))) * DAY,
                           pa.int64()),
            "price": pa.array(price, pa.float64()),
        }
    )  # fmt: skip


def check(contract, table, *, references=None, bad=NO_ROWS, is_partition=False, parameters=None):
    setting = Setting(contract, references or {}, parameters or {}, None, is_partition)
    found = check_rules(setting, table, np.asarray(bad, dtype=np.int64))
    return {item.rule.id: (item.status, item.message) for item in found.findings}


def measured(sql, **arguments):
    rule = raw_rule(2, arguments={"column": "number", **arguments}, on_fail="block")
    return make_contract(raw_rule(), rule, measures=[{"name": "number", "sql": sql}])


def test_measures_are_taken_over_rows_that_survive():
    contract = measured("avg(price)", min_value=2, max_value=2)
    found = check(contract, make_table([1.0, 3.0, -1000.0, 500.0]), bad=[3])
    assert found["AD-001"][0] == "failed"
    assert found["AD-002"][0] == "passed"


def test_a_measure_that_does_not_apply_is_vacuous_and_nan_fails():
    table = make_table([1.0])
    assert check(measured("NULL", min_value=1), table)["AD-002"][0] == "vacuous"
    undefined = check(measured("'nan'::DOUBLE", min_value=1), table)
    assert undefined["AD-002"] == ("failed", "number is not a number")


def test_missing_references_and_parameters_skip_a_rule_and_say_so():
    reference = {"table": "users", "keys": {"ad_key": "user_key"}, "columns": {"who": "gender"}}
    contract = make_contract(
        raw_rule(1, arguments={"column": "who", "min_value": 0}),
        raw_rule(2, arguments={"column": "price", "min_value": "$low"}),
        references=[reference],
        parameters=[{"name": "low", "value": None, "reason": "the caller knows"}],
    )
    found = check(contract, make_table([1.0]))
    assert found["AD-001"] == ("skipped", "not checked: no reference table users was given")
    assert found["AD-002"] == ("skipped", "not checked: no parameter low was given")


def test_a_table_refers_to_itself_unless_it_is_a_partition():
    reference = {"table": "ads", "keys": {"ad_key": "ad_key"}, "columns": {"own": "price"}}
    rule = raw_rule(1, arguments={"column": "own", "min_value": 0})
    contract = make_contract(rule, references=[reference])
    table = make_table([1.0])
    assert check(contract, table)["AD-001"][0] == "passed"
    assert check(contract, table, is_partition=True)["AD-001"][0] == "skipped"
    given = {"ads": table}
    found = check(contract, table, references=given, is_partition=True)
    assert found["AD-001"][0] == "passed"


def test_a_rule_of_the_whole_window_is_skipped_on_a_partition():
    contract = make_contract(raw_rule(whole_window=True))
    found = check(contract, make_table([-1.0]), is_partition=True)
    assert found["AD-001"][1] == "not checked: it needs the whole window, this is one partition"


def test_nothing_is_checked_when_every_row_is_broken():
    contract = make_contract(raw_rule(), drift=[raw_drift()])
    found = check(contract, make_table([-1.0, 1.0]), bad=[0, 1])
    assert found["AD-001"][0] == "vacuous"
    assert found["AD-050"] == ("skipped", "not checked: the table has no day to judge")


def test_the_last_day_is_compared_with_the_days_before():
    contract = make_contract(drift=[raw_drift()])
    days = np.repeat(np.arange(5), 200)
    prices = np.where(days < 4, 0.5, 1.5)
    steady = check(contract, make_table(np.full(1000, 0.5), days))
    moved = check(contract, make_table(prices, days))
    assert steady["AD-050"][0] == "passed"
    assert moved["AD-050"][0] == "failed"
    assert moved["AD-050"][1].startswith("on 1970-01-05 psi of price against 4 earlier days is ")
    assert moved["AD-050"][1].endswith("expected at most 0.25: other prices than before")


def test_short_histories_skip_drift():
    contract = make_contract(drift=[raw_drift()])
    found = check(contract, make_table([0.5, 0.5], [0, 1]))
    assert found["AD-050"] == ("skipped", "not checked: history has 1 of 3 days")


def test_missing_names_tables_and_parameters():
    setting = Setting(make_contract(), {}, {}, None, is_partition=False)
    needs = Needs(tables=frozenset(["users", "ads"]), parameters=frozenset(["low"]))
    assert setting.missing(needs) == (
        "no reference table users was given and no parameter low was given"
    )
    assert setting.missing(Needs()) == ""
