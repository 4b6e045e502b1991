"""Prove that a contract can be run at all, without any data."""

import numpy as np
import pyarrow as pa

from data_contracts.derive import DerivedRows, names_for_measure
from data_contracts.lineage import rule_needs
from data_contracts.load import load_contract
from data_contracts.model import ROWS_COLUMN, Contract
from data_contracts.structure import contract_schema
from data_contracts.suite import build_suite


def lint_contract(contract: Contract) -> None:
    """Build the suite of a contract and run its SQL on empty tables.

    Args:
        contract: The contract.

    Raises:
        ConfigError: If an expectation refuses its arguments or an expression cannot be computed.
    """
    rules = [rule for rule in contract.rules if rule.expectation]
    parameters = {item.name: item.value or 0.0 for item in contract.parameters}
    build_suite(contract, rules, parameters)
    names = {name for rule in rules for name in rule.columns if name not in _measures(contract)} | {
        rule.column for rule in contract.drift if rule.column != ROWS_COLUMN
    }
    for measure in contract.measures:
        names |= names_for_measure(contract, measure)
    tables = {table for rule in rules for table in rule_needs(contract, rule).tables}
    with DerivedRows(
        contract,
        _empty(contract),
        np.zeros(0, dtype=np.int64),
        references={name: _empty(load_contract(name)) for name in tables - {contract.name}},
        parameters=parameters,
        names=sorted(names),
    ) as derived:
        if contract.measures:
            derived.measure(contract.measures, np.zeros(0, dtype=np.int64))


def _measures(contract: Contract) -> set[str]:
    """List the names of measures."""
    return {measure.name for measure in contract.measures}


def _empty(contract: Contract) -> pa.Table:
    """Make a table without rows."""
    return contract_schema(contract).empty_table()
