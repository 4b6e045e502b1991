"""T36: a gate that passes on empty input, or that can be skipped without anybody seeing it."""

import pyarrow as pa
import pytest

from data_contracts.check import check_table
from data_contracts.load import contract_names, load_contract
from data_contracts.structure import contract_schema
from gpr_core.support.errors import ContractError

MUST_HAVE_ROWS = [name for name in contract_names() if load_contract(name).allow_empty != "always"]


def passes(rows, rules):
    """The naive gate: nothing found, so all is well."""
    return not [row for row in rows for rule in rules if not rule(row)]


def refuses_an_empty_table(gate):
    """The check of this trap: whether a gate refuses a table without rows."""
    try:
        gate()
    except ContractError:
        return True
    return False


def empty(name):
    return contract_schema(load_contract(name)).empty_table()


@pytest.mark.parametrize("name", MUST_HAVE_ROWS)
def test_an_empty_table_is_refused(name):
    def gate():
        check_table(name, empty(name)).raise_if_failed("gate")

    assert refuses_an_empty_table(gate)


def test_the_naive_gate_lets_an_empty_table_pass():
    def gate():
        if not passes([], [lambda row: row["bid_micros"] > 0]):
            raise ContractError("broken")

    assert not refuses_an_empty_table(gate)


def test_only_thoughts_and_the_id_map_of_a_refit_may_be_empty_as_a_whole():
    may_be_empty = sorted(set(contract_names()) - set(MUST_HAVE_ROWS))
    assert may_be_empty == ["id_map", "thoughts"]
    for name in may_be_empty:
        check_table(name, empty(name)).raise_if_failed("gate")


def test_a_rule_that_saw_no_row_does_not_count_as_passed():
    outcome = check_table("ads", empty("ads"), is_partition=True)
    assert outcome.ok
    assert "passed" not in {rule.status for rule in outcome.rules if rule.id[3:].isdigit()}


def test_a_table_of_broken_rows_only_is_refused():
    schema = contract_schema(load_contract("content"))
    table = pa.table([pa.nulls(3, field.type) for field in schema], names=schema.names)
    with pytest.raises(ContractError, match="CO-SHARE: 3 of 3 rows"):
        check_table("content", table).raise_if_failed("gate")


def test_a_rule_that_could_not_be_checked_is_shown_and_can_be_refused():
    schema = contract_schema(load_contract("content"))
    row = dict.fromkeys(schema.names, 1) | {"title": "A title"}
    table = pa.table([pa.array([row[field.name]], field.type) for field in schema], schema=schema)
    outcome = check_table("content", table)
    assert [rule.id for rule in outcome.skipped_rules] == ["CO-005", "CO-050"]
    with pytest.raises(ContractError, match="CO-005: not checked: no reference table embeddings"):
        outcome.raise_if_failed("gate", require_all=True)
