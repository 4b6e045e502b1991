import pytest

from data_contracts.lineage import Needs, measure_needs, row_needs, rule_needs, words_of
from data_contracts.load import load_contract
from gpr_core.support.errors import ConfigError
from tests.data_contracts.contracts import make_contract, raw_contract, raw_drift, raw_rule


def rule_of(name, rule_id):
    contract = load_contract(name)
    return contract, next(rule for rule in contract.rules if rule.id == rule_id)


def test_words_in_text_are_no_columns():
    assert words_of("a > $low AND b = 'c''d'") == ({"a", "AND", "b"}, {"low"})


def test_a_chain_of_joins_needs_all_its_tables():
    # age_fits compares the version of the ad and the user of the request, both as of the request.
    needs = rule_needs(*rule_of("impressions", "IM-006"))
    assert needs.tables == {"ad_versions", "requests", "users"}


def test_a_rule_on_plain_columns_needs_nothing_else():
    assert rule_needs(*rule_of("users", "US-001")) == Needs(columns=frozenset(["age_bucket"]))


def test_parameters_of_arguments_and_expressions_are_needed():
    needs = rule_needs(*rule_of("impressions", "IM-030"))
    assert needs.parameters == {"ctr_low", "ctr_high", "min_impressions"}


def test_a_whole_select_needs_the_tables_it_declares():
    contract = load_contract("ad_versions")
    [_, covered] = contract.measures
    assert measure_needs(covered, row_needs(contract)).tables == {"users"}


def test_an_unknown_column_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"(?s)unknown column 'prise'.*mean 'price'"):
        make_contract(raw_rule(arguments={"column": "prise", "min_value": 0}))


def test_a_rule_may_not_look_at_keys():
    with pytest.raises(ConfigError, match="'ad_key', whose values would show in reports"):
        make_contract(raw_rule(arguments={"column": "ad_key", "min_value": 0}))


def test_a_rule_may_not_look_at_joined_keys():
    reference = {"table": "ads", "keys": {"ad_key": "ad_key"}, "columns": {"who": "advertiser_key"}}
    with pytest.raises(ConfigError, match="'who', whose values would show in reports"):
        make_contract(raw_rule(arguments={"column": "who", "min_value": 0}), references=[reference])


def test_a_name_may_be_defined_once():
    with pytest.raises(ConfigError, match="the name 'price' is defined twice"):
        make_contract(derived=[{"name": "price", "sql": "1"}])


def test_parameters_must_be_declared_and_used():
    rule = raw_rule(arguments={"column": "price", "min_value": "$low"})
    with pytest.raises(ConfigError, match=r"unknown parameter \$low"):
        make_contract(rule)
    with pytest.raises(ConfigError, match="parameter 'low' is never used"):
        make_contract(parameters=[{"name": "low", "value": 1, "reason": "so"}])


def test_a_rule_does_not_mix_rows_and_measures():
    rule = raw_rule(
        expectation="expect_column_pair_values_a_to_be_greater_than_b",
        arguments={"column_A": "price", "column_B": "mean_price"},
    )
    with pytest.raises(ConfigError, match="rows or measures, not one with the other"):
        make_contract(rule, measures=[{"name": "mean_price", "sql": "avg(price)"}])


def test_drift_needs_a_column_and_days():
    with pytest.raises(ConfigError, match=r"(?s)unknown column 'prise'.*rule AD-050"):
        make_contract(drift=[raw_drift(column="prise")])
    with pytest.raises(ConfigError, match="no property is marked partitioned"):
        make_contract(drift=[raw_drift()], schema=_without_days())


@pytest.mark.parametrize("sql", ["gender + price", "price - $low", "lag(price) OVER ()", "half"])
def test_drift_looks_at_the_row_alone(sql):
    users = {"table": "users", "keys": {"ad_key": "user_key"}, "columns": {"gender": "gender"}}
    message = "'number' does not follow from the row alone.*rule AD-050.*fix: look at a column"
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        make_contract(
            drift=[raw_drift(column="number")],
            derived=[
                {"name": "half", "sql": "(select max(price) from ads) / 2"},
                {"name": "number", "sql": sql},
            ],
            references=[users],
            parameters=[{"name": "low", "value": 1, "reason": "known"}],
        )


def test_a_bound_on_empty_days_needs_a_table_that_is_never_empty():
    bound = {"name": "empty_days_high", "value": 0, "reason": "it lives every day"}
    assert make_contract(parameters=[bound]).resolve_parameters({}) == {"empty_days_high": 0.0}
    with pytest.raises(ConfigError, match="parameter 'empty_days_high' is never used"):
        make_contract(parameters=[bound], allow_empty="partition")


def _without_days():
    schema = raw_contract()["schema"]
    del schema[0]["properties"][1]["partitioned"]
    return schema
