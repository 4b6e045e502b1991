"""Every contract holds on a valid world, and every rule refuses a table made to break it."""

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.check import check_table
from data_contracts.load import contract_names, load_contract
from data_contracts.rule_checks import Setting, check_rules
from data_contracts.structure import check_shape_of_table, check_values, contract_schema
from gpr_core.data.tables import TABLES, sid_map_schema
from tests.data_contracts.broken_artifact_rows import ARTIFACT_ROW_BREAKS
from tests.data_contracts.broken_lake_rows import LAKE_ROW_BREAKS, REFERENCE_BREAKS
from tests.data_contracts.broken_tables import TABLE_BREAKS
from tests.data_contracts.cell_changes import with_cells, with_column
from tests.data_contracts.valid_tables import PARAMETERS, valid_tables

ROW_BREAKS = LAKE_ROW_BREAKS | ARTIFACT_ROW_BREAKS
NAMES = contract_names()
BY_PREFIX = {load_contract(name).prefix: name for name in NAMES}
STRUCTURAL = [
    (name, rule.id)
    for name in NAMES
    for rule in load_contract(name).rules
    if not rule.expectation and not rule.id.endswith("-SHARE")
]


def check(name, table, references):
    return check_table(name, table, references=references, parameters=PARAMETERS.get(name))


def by_id(outcome):
    return {rule.id: rule for rule in outcome.rules}


def break_structure(name, word):
    """Break one structural promise of a valid table."""
    contract, table = load_contract(name), valid_tables()[name]
    first = contract.properties[0].name
    present = [item for item in contract.properties if item.name in table.column_names]
    floats = [item for item in present if "float" in item.physical_type]
    ways = {
        "COLUMNS": lambda: table.drop_columns([first]),
        "TYPES": lambda: table.set_column(0, first, table[first].cast(pa.float64())),
        "ROWS": lambda: table.slice(0, 0),
        "UNIQUE": lambda: pa.concat_tables([table, table.slice(0, 1)]),
        "NULLS": lambda: _set(table, [item for item in present if item.is_required][-1], None),
        "KEYS": lambda: _set(table, next(item for item in present if item.is_key_column), 1 << 63),
        "FINITE": lambda: _set(table, floats[0], float("nan")),
    }
    return ways[word]()


def _set(table, item, value):
    """Change one cell of a column, or the first number of a list in it."""
    is_list = item.physical_type.startswith("list") and value is not None
    return with_cells(table, {3: {item.name: [value] if is_list else value}})


def test_every_rule_has_a_table_that_breaks_it():
    broken = {rule_id for breaks in ROW_BREAKS.values() for rule_id in breaks} | set(TABLE_BREAKS)
    broken |= {rule_id for _, rule_id in STRUCTURAL}
    broken |= {f"{load_contract(name).prefix}-SHARE" for name in NAMES}
    assert broken == {rule_id for name in NAMES for rule_id in load_contract(name).rule_ids}


@pytest.mark.parametrize("name", NAMES)
def test_a_contract_holds_on_the_valid_world(name):
    outcome = check(name, valid_tables()[name], valid_tables())
    assert {rule.id: rule.message for rule in outcome.rules if rule.status != "passed"} == {}
    assert outcome.ok
    assert outcome.clean is valid_tables()[name]


@pytest.mark.parametrize("name", sorted(ROW_BREAKS))
def test_every_rule_about_rows_finds_its_row(name):
    changes: dict[int, dict[str, Any]] = {}
    for _, rows in ROW_BREAKS[name].values():
        for row, cells in rows.items():
            changes.setdefault(row, {}).update(cells)
    references = dict(valid_tables())
    for other, rows in REFERENCE_BREAKS.get(name, {}).items():
        references[other] = with_cells(references[other], rows)
    references.pop(name)
    found = by_id(check(name, with_cells(valid_tables()[name], changes), references))
    missed = {
        rule_id: (found[rule_id].message, found[rule_id].examples)
        for rule_id, (row, _) in ROW_BREAKS[name].items()
        if found[rule_id].status != "failed"
        or f"row {row}" not in [text.split(" (")[0] for text in found[rule_id].examples]
    }
    assert missed == {}


@pytest.mark.parametrize("rule_id", sorted(TABLE_BREAKS))
def test_every_measure_and_drift_rule_refuses_its_table(rule_id):
    name = BY_PREFIX[rule_id[:2]]
    others = {other: table for other, table in valid_tables().items() if other != name}
    table, references = TABLE_BREAKS[rule_id](valid_tables()[name], others)
    contract = load_contract(name)
    # The rule alone: with all others the same verdict takes ten times as long.
    alone = replace(
        contract,
        rules=tuple(rule for rule in contract.rules if rule.id == rule_id),
        drift=tuple(rule for rule in contract.drift if rule.id == rule_id),
    )
    parameters = contract.resolve_parameters(PARAMETERS.get(name, {}))
    setting = Setting(alone, references, parameters, None, is_partition=False)
    [finding] = check_rules(setting, table, np.zeros(0, dtype=np.int64)).findings
    assert (finding.rule.id, finding.status) == (rule_id, "failed")


@pytest.mark.parametrize(("name", "rule_id"), STRUCTURAL)
def test_every_structural_rule_refuses_its_table(name, rule_id):
    table = break_structure(name, rule_id[3:])
    findings = check_shape_of_table(load_contract(name), table, is_partition=False)
    if all(finding.status != "failed" for finding in findings):
        findings += check_values(load_contract(name), table)
    assert rule_id in [item.rule.id for item in findings if item.status == "failed"]


@pytest.mark.parametrize("name", NAMES)
def test_too_many_bad_rows_block_every_table(name):
    table = valid_tables()[name]
    [column] = [item.name for item in load_contract(name).properties if item.is_required][-1:]
    outcome = check_table(name, with_column(table, column, None))
    share = by_id(outcome)[f"{load_contract(name).prefix}-SHARE"]
    assert (share.status, share.observed, outcome.ok) == ("failed", 1.0, False)
    assert outcome.clean.num_rows == 0


@pytest.mark.parametrize("name", sorted(TABLES))
def test_the_contract_of_a_lake_table_says_what_its_schema_says(name):
    assert contract_schema(load_contract(name)).equals(TABLES[name].schema)
    assert load_contract(name).key == TABLES[name].key
    assert load_contract(name).partition_column == TABLES[name].landing_ts
    units = {
        field.name: (field.metadata or {}).get(b"unit", b"").decode()
        for field in TABLES[name].schema
    }
    assert {item.name: item.unit for item in load_contract(name).properties} == units


def test_the_contract_of_the_semantic_ids_says_what_their_schema_says():
    contract = contract_schema(load_contract("sid_map"))
    for field in sid_map_schema(8):
        assert contract.field(field.name).type == field.type
    assert contract.names == sid_map_schema(8).names


def test_a_valid_row_is_never_set_aside_with_a_broken_one():
    table = with_cells(valid_tables()["ads"], {7: {"brand": -1}})
    outcome = check("ads", table, valid_tables())
    assert np.array_equal(outcome.quarantine["checked_row"].to_numpy(), [7])
    assert outcome.quarantine["broken_rules"].to_pylist() == ["AD-003"]
    assert outcome.clean.num_rows == table.num_rows - 1
