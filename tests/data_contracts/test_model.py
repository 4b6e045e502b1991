import pytest

from data_contracts.load import load_contract
from gpr_core.support.errors import ConfigError
from tests.data_contracts.contracts import make_contract, raw_drift, raw_rule


def test_only_key_columns_of_64_bits_are_masked():
    [key, ts, price] = make_contract().properties
    assert (key.is_key_column, ts.is_key_column, price.is_key_column) == (True, False, False)


def test_a_rule_knows_its_columns():
    rules = load_contract("requests").rules
    [pair] = [rule for rule in rules if rule.id == "RQ-002"]
    assert pair.columns == ("ts", "first_version_ts")
    assert rules[0].columns == ()


def test_references_leave_out_the_table_itself():
    assert load_contract("ad_events").reference_names == ("impressions",)
    assert load_contract("ad_versions").reference_names == ("ads", "users")


def test_a_measure_is_an_aggregate_or_a_whole_select():
    measures = {item.name: item.is_query for item in load_contract("ad_versions").measures}
    assert measures == {"bid_ratio": False, "covered_cells": True}


def test_all_rules_end_with_drift():
    contract = make_contract(raw_rule(), drift=[raw_drift()])
    assert contract.rule_ids[-2:] == ("AD-001", "AD-050")


def test_given_parameters_win_over_defaults():
    contract = load_contract("impressions")
    assert contract.resolve_parameters({"ctr_high": 0.8})["ctr_high"] == 0.8
    assert contract.resolve_parameters({})["ctr_high"] == 0.2


def test_a_parameter_without_a_value_waits_for_the_caller():
    assert load_contract("timelines").resolve_parameters({}) == {}


def test_an_unknown_parameter_is_named():
    with pytest.raises(ConfigError, match=r"(?s)has no parameter 'ctr_hi'.*mean 'ctr_high'"):
        load_contract("impressions").resolve_parameters({"ctr_hi": 1})
    with pytest.raises(ConfigError, match="this contract takes none"):
        load_contract("content").resolve_parameters({"ctr_hi": 1})


def test_expressions_hold_derived_columns_and_measures():
    expressions = load_contract("value_weights").expressions
    assert expressions["action_error"] == "action - decision_action"
    assert expressions["mean_omega"] == "avg(omega::DOUBLE)"
