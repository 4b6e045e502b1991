import subprocess
import sys

import pytest

from data_contracts.load import (
    accepted_parameters,
    contract_hash,
    contract_names,
    load_contract,
    load_contract_file,
    parse_contract,
    source_parameters,
)
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ConfigError
from tests.data_contracts.contracts import make_contract, raw_contract, raw_rule


def test_there_is_a_contract_for_every_lake_table_and_artifact():
    artifacts = {
        "timelines", "decisions", "value_weights", "tokenizer_sample", "item_vectors", "sid_map",
        "id_map",
        "catalog_ads", "snapshot_requests", "snapshot_impressions", "snapshot_ad_events",
        "rollouts", "training_curve", "evaluation_requests",
    }  # fmt: skip
    assert set(contract_names()) == set(TABLES) | artifacts


def test_prefixes_differ_so_that_a_rule_id_names_its_contract():
    prefixes = [load_contract(name).prefix for name in contract_names()]
    assert len(set(prefixes)) == len(prefixes)


def test_loading_is_cheap():
    heavy = ("great_expectations", "pandas", "pyarrow", "duckdb", "torch")
    code = (
        "import sys; from data_contracts.load import load_contract; load_contract('impressions');"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_contract_is_parsed_into_its_parts():
    contract = make_contract(raw_rule())
    assert contract.key == ("ad_key",)
    assert contract.partition_column == "ts"
    assert contract.rule_ids == (
        "AD-COLUMNS", "AD-TYPES", "AD-SHARE", "AD-ROWS", "AD-NULLS", "AD-FINITE", "AD-KEYS",
        "AD-UNIQUE", "AD-001",
    )  # fmt: skip


def test_an_unknown_contract_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"(?s)unknown contract 'impresions'.*mean 'impressions'"):
        load_contract("impresions")


def test_an_unknown_key_is_named_with_its_place():
    with pytest.raises(ConfigError, match=r"(?s)unknown key 'owner'.*where: here"):
        parse_contract(raw_contract(owner="me"), where="here")


def test_an_unknown_key_of_a_rule_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"(?s)unknown key 'onfail'.*mean 'on_fail'"):
        parse_contract(raw_contract({**raw_rule(), "onfail": "block"}), where="here")


def test_a_missing_key_is_named():
    raw = raw_contract()
    del raw["team"]
    with pytest.raises(ConfigError, match="'team' is a required property"):
        parse_contract(raw, where="here")


def test_an_unknown_expectation_gets_a_suggestion():
    rule = raw_rule(expectation="expect_column_values_to_be_betwen")
    with pytest.raises(ConfigError, match=r"(?s)unknown expectation.*rule AD-001.*between'"):
        make_contract(rule)


def test_an_unknown_argument_is_refused():
    rule = raw_rule(arguments={"column": "price", "minimum": 0})
    with pytest.raises(ConfigError, match="has no argument 'minimum'"):
        make_contract(rule)


def test_a_missing_argument_is_refused():
    with pytest.raises(ConfigError, match="needs the argument 'column'"):
        make_contract(raw_rule(arguments={"min_value": 0}))


def test_a_rule_id_may_be_used_once():
    with pytest.raises(ConfigError, match="rule id AD-001 is used twice"):
        make_contract(raw_rule(1), raw_rule(1))


def test_a_rule_id_begins_with_the_prefix_of_its_contract():
    with pytest.raises(ConfigError, match=r"(?s)does not begin with the prefix AD-.*AD-001"):
        make_contract(raw_rule(id="XX-001"))


def test_a_table_expectation_cannot_quarantine():
    rule = raw_rule(expectation="expect_column_mean_to_be_between")
    with pytest.raises(ConfigError, match="cannot quarantine rows"):
        make_contract(rule)


@pytest.mark.parametrize(
    ("severity", "on_fail"), [("critical", "report"), ("warning", "block"), ("info", "quarantine")]
)
def test_severity_and_consequence_go_together(severity, on_fail):
    with pytest.raises(ConfigError, match=f"severity {severity} does not go with"):
        make_contract(raw_rule(severity=severity, on_fail=on_fail))


def test_a_file_that_is_no_yaml_is_refused(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("{: [")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_contract_file(path)


def test_the_hash_follows_the_meaning(monkeypatch, tmp_path):
    path = tmp_path / "a.yaml"
    monkeypatch.setattr("data_contracts.load.contract_path", lambda name: path)
    hashes = []
    for text in ("a: 1\nb: 2\n", "# why\nb: 2\na:   1\n", "a: 1\nb: 3\n"):
        path.write_text(text)
        hashes.append(contract_hash("a"))
    assert hashes[0] == hashes[1] != hashes[2]


def test_bounds_of_a_source_come_from_the_contract():
    assert source_parameters("users", "world") == {"min_cell_users": 3.0}
    assert source_parameters("users", "nowhere") == {}


def test_only_bounds_that_a_contract_knows_are_accepted():
    known = {"cutoff_ts": 5}
    assert accepted_parameters("timelines", known) == {"cutoff_ts": 5.0}
    assert accepted_parameters("users", known) == {}
