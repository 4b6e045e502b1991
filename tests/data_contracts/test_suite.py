import pandas as pd
import pytest

from data_contracts.suite import build_suite, fill_arguments, run_on_measures, run_on_rows
from gpr_core.support.errors import ConfigError
from tests.data_contracts.contracts import make_contract, raw_rule

FRAME = pd.DataFrame({"price": [1.0, -1.0, float("nan"), -2.0]}, index=[3, 5, 8, 9])


def rule(**changes):
    return make_contract(raw_rule(**changes)).rules[-1]


def run(*rules, frame=FRAME, parameters=None):
    return run_on_rows(make_contract(), rules, frame, parameters or {}).findings


def test_failing_rows_are_named_by_their_position():
    [finding] = run(rule())
    assert (finding.status, finding.checked) == ("failed", 3)
    assert finding.rows.tolist() == [5, 9]
    assert finding.shown == {"price": [-1.0, -2.0]}
    assert finding.message == "2 of 4 rows have a negative price"


def test_findings_come_in_the_order_of_the_rules():
    second = rule(id="AD-002", expectation="expect_column_values_to_not_be_null",
                  arguments={"column": "price"})  # fmt: skip
    third = rule(id="AD-003", arguments={"column": "price", "max_value": 9})
    findings = run(third, rule(), second)
    assert [item.rule.id for item in findings] == ["AD-003", "AD-001", "AD-002"]
    assert [item.status for item in findings] == ["passed", "failed", "failed"]


def test_a_rule_on_nulls_only_is_vacuous():
    frame = pd.DataFrame({"price": [float("nan")] * 2})
    assert run(rule(), frame=frame)[0].status == "vacuous"


def test_mostly_forgives_a_share():
    some = rule(arguments={"column": "price", "min_value": 0, "mostly": 0.3})
    assert run(some)[0].status == "passed"


def test_parameters_are_filled_in():
    bounded = raw_rule(arguments={"column": "price", "min_value": "$low"})
    contract = make_contract(bounded, parameters=[{"name": "low", "value": 1, "reason": "so"}])
    assert fill_arguments(contract.rules[-1], {"low": -5.0}) == {
        "column": "price",
        "min_value": -5.0,
    }
    assert run(contract.rules[-1], parameters={"low": -5.0})[0].status == "passed"


def test_a_table_expectation_gives_a_number():
    mean = rule(
        expectation="expect_column_mean_to_be_between",
        arguments={"column": "price", "min_value": 0, "max_value": 9},
        on_fail="block",
        breach="prices fell",
    )
    [finding] = run(mean)
    assert finding.observed == -0.666667
    assert finding.message == "price is -0.666667, expected between 0 and 9: prices fell"


def test_measures_are_judged_like_rows():
    contract = make_contract(
        raw_rule(1, arguments={"column": "ctr", "max_value": 0.2}, on_fail="block"),
        raw_rule(2, expectation="expect_column_values_to_be_in_set",
                 arguments={"column": "kinds", "value_set": [1]}, on_fail="block"),
        raw_rule(3, arguments={"column": "kinds", "min_value": 1}, on_fail="block"),
        measures=[{"name": "ctr", "sql": "avg(price)"}, {"name": "kinds", "sql": "count(*)"}],
    )  # fmt: skip
    rules = contract.rules[-3:]
    found = run_on_measures(contract, rules, {"ctr": 1 / 3, "kinds": 2.0}, 7, {}).findings
    assert [(item.status, item.checked, item.observed) for item in found] == [
        ("failed", 7, 0.333333),
        ("failed", 7, 2.0),
        ("passed", 7, 2.0),
    ]
    assert found[0].message == "ctr is 0.333333, expected at most 0.2: a negative price"
    assert found[1].message == "kinds is 2, expected one of [1]: a negative price"


def test_arguments_that_great_expectations_refuses_name_their_rule():
    contract = make_contract(raw_rule(arguments={"column": "price", "min_value": [1]}))
    with pytest.raises(ConfigError, match=r"(?s)refuses the arguments.*ads\.yaml rule AD-001"):
        build_suite(contract, contract.rules[-1:], {})


def test_an_expectation_that_does_not_suit_its_column_names_its_rule():
    frame = pd.DataFrame({"price": ["a", "b"]})
    with pytest.raises(ConfigError, match=r"(?s)could not be evaluated.*rule AD-001"):
        run(rule(), frame=frame)


def test_equal_runs_give_equal_results():
    first, second = (
        run_on_rows(make_contract(), [rule()], FRAME, {}).validation.to_json_dict()
        for _ in range(2)
    )
    assert first == second
