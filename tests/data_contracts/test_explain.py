import pytest

from data_contracts.explain import explain_rule
from data_contracts.load import contract_names, load_contract
from gpr_core.support.errors import ConfigError


def test_a_rule_is_explained_with_its_columns_and_bounds():
    text = explain_rule("IM-030")
    assert text.startswith("IM-030 of impressions 2.0.0 (ads-serving)\n")
    assert "refused  the click rate left its band" in text
    assert "on fail  block (critical)" in text
    assert "why      lost or doubled click logs show here first" in text
    assert "where    ctr = CASE WHEN count(*) >= $min_impressions THEN avg(is_clicked) END" in text
    assert "with     $ctr_low = 0.002: specification 0.2" in text


def test_a_structural_rule_is_explained():
    assert "before all other rules, from the columns and the key" in explain_rule("EV-UNIQUE")


def test_a_drift_rule_is_explained():
    assert "robust_sigma of rows against the last 28 days <= 5" in explain_rule("OE-050")


def test_a_joined_column_is_explained():
    assert "where    exposure_ts = exposure_ts of impressions" in explain_rule("EV-002")


def test_a_bound_of_the_caller_is_explained():
    assert "code_high = 32767" in explain_rule("SM-003")


def test_every_rule_can_be_explained():
    for name in contract_names():
        for rule_id in load_contract(name).rule_ids:
            assert explain_rule(rule_id).startswith(f"{rule_id} of {name} ")


def test_an_unknown_rule_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"(?s)unknown rule 'EV-03'.*mean 'EV-03[01]'"):
        explain_rule("EV-03")
    with pytest.raises(ConfigError, match=r"(?s)unknown rule 'XX-001'.*AD-\.\.\."):
        explain_rule("XX-001")
