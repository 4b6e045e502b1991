"""From the rules of a contract to a Great Expectations suite, built at run time.

Great Expectations' own files carry random ids, which are bad to review; the YAML stays the only
source. Importing this module is cheap: the package itself is imported inside the functions.
"""

import functools
import importlib
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from data_contracts.expectations import EXPECTATIONS
from data_contracts.finding import Finding, failed_rows, failed_table, passed
from data_contracts.model import Contract, Rule
from gpr_core.support.errors import ConfigError

_MAX_SHOWN = 20
# One entry per failing row, the query even as text: megabytes that no page needs.
_LONG_LISTS = ("unexpected_list", "unexpected_index_list", "unexpected_index_query")


@dataclass(frozen=True, slots=True, eq=False)
class SuiteRun:
    """Result of running one suite on one frame.

    Attributes:
        findings: One per rule, in the order of the rules.
        validation: The result object of Great Expectations, for its report pages.
    """

    findings: tuple[Finding, ...]
    validation: Any


def build_suite(contract: Contract, rules: Sequence[Rule], parameters: Mapping[str, float]) -> Any:
    """Build the suite of some rules.

    Args:
        contract: The contract.
        rules: Rules from its YAML.
        parameters: Value of every parameter they name.

    Returns:
        A `great_expectations.ExpectationSuite`.

    Raises:
        ConfigError: If Great Expectations refuses the arguments of a rule.
    """
    gx = _great_expectations()
    expectations = [_expectation(contract, rule, parameters) for rule in rules]
    return gx.ExpectationSuite(name=contract.name, expectations=expectations)


def run_on_rows(
    contract: Contract, rules: Sequence[Rule], frame: pd.DataFrame, parameters: Mapping[str, float]
) -> SuiteRun:
    """Run rules about rows.

    Args:
        contract: The contract.
        rules: Rules whose columns are in the frame.
        frame: Rows, indexed by their position in the table that was handed in.
        parameters: Value of every parameter they name.

    Returns:
        Findings with the positions of failing rows.
    """
    validation = _validate(build_suite(contract, rules, parameters), frame)
    results = {item.expectation_config.meta["id"]: item for item in validation.results}
    findings = tuple(_row_finding(rule, results[rule.id], frame, parameters) for rule in rules)
    for result in validation.results:
        for name in _LONG_LISTS:
            result.result.pop(name, None)
    return SuiteRun(findings, validation)


def run_on_measures(
    contract: Contract,
    rules: Sequence[Rule],
    measures: Mapping[str, float],
    rows: int,
    parameters: Mapping[str, float],
) -> SuiteRun:
    """Run rules about measures.

    Args:
        contract: The contract.
        rules: Rules whose columns are measures.
        measures: Measure -> finite value.
        rows: Rows the measures were taken over.
        parameters: Value of every parameter the rules name.

    Returns:
        Findings with the measured numbers.
    """
    frame = pd.DataFrame({name: [value] for name, value in measures.items()})
    validation = _validate(build_suite(contract, rules, parameters), frame)
    results = {item.expectation_config.meta["id"]: item for item in validation.results}
    findings = []
    for rule in rules:
        value = float(f"{measures[rule.columns[0]]:.6g}")
        if _result(rule, results[rule.id]).success:
            findings.append(passed(rule, rows, observed=value))
        else:
            findings.append(
                failed_table(rule, _measure_text(rule, value, parameters), rows, observed=value)
            )
    return SuiteRun(tuple(findings), validation)


def fill_arguments(rule: Rule, parameters: Mapping[str, float]) -> dict[str, Any]:
    """Put parameter values into the arguments of a rule.

    Args:
        rule: The rule.
        parameters: Value of every parameter it names.

    Returns:
        Arguments for the expectation.
    """
    return {
        name: parameters[value[1:]] if isinstance(value, str) and value.startswith("$") else value
        for name, value in rule.arguments.items()
    }


def start_importing() -> None:
    """Import Great Expectations in the background; it takes seconds that work can hide.

    Whoever needs it sooner waits for the rest, and gets the error if there is one.
    """
    threading.Thread(target=_great_expectations, daemon=True).start()


@functools.cache
def _great_expectations() -> Any:
    """Import the package once, without telemetry; it takes seconds."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    return importlib.import_module("great_expectations")


@functools.cache
def _batch_definition() -> Any:
    """Make the in-memory context once per process, without progress bars."""
    gx = _great_expectations()
    types = importlib.import_module("great_expectations.data_context.types.base")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = types.ProgressBarsConfig(globally=False)
    asset = context.data_sources.add_pandas("contracts").add_dataframe_asset("table")
    return asset.add_batch_definition_whole_dataframe("rows")


def _expectation(contract: Contract, rule: Rule, parameters: Mapping[str, float]) -> Any:
    """Build one expectation; its id travels in the meta data because results come unordered."""
    _great_expectations()
    registry = importlib.import_module("great_expectations.expectations.registry")
    meta = {
        "id": rule.id,
        "on_fail": rule.on_fail,
        "contract": f"{contract.name}@{contract.version}",
    }
    try:
        return registry.get_expectation_impl(rule.expectation)(
            **fill_arguments(rule, parameters),
            severity=rule.severity,
            notes=f"{rule.id}: {rule.reason}",
            meta=meta,
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"Great Expectations refuses the arguments: {error}",
            where=f"data_contracts/tables/{contract.name}.yaml rule {rule.id}",
            fix=f"see the arguments of {rule.expectation}",
        ) from error


def _validate(suite: Any, frame: pd.DataFrame) -> Any:
    """Run a suite on a frame."""
    batch = _batch_definition().get_batch({"dataframe": frame})
    form = {"result_format": "COMPLETE", "partial_unexpected_count": _MAX_SHOWN}
    validation = batch.validate(suite, result_format=form)
    # The load time would make equal checks differ.
    validation.meta.pop("batch_markers", None)
    return validation


def _result(rule: Rule, result: Any) -> Any:
    """Refuse a rule that Great Expectations could not evaluate."""
    error = (result.exception_info or {}).get("exception_message")
    if error is None:
        # Rules over two columns nest their errors one level deeper.
        nested = [item for item in (result.exception_info or {}).values() if isinstance(item, dict)]
        error = next((item.get("exception_message") for item in nested), None)
    if error:
        raise ConfigError(
            f"the rule could not be evaluated: {str(error)[:300]}",
            where=f"rule {rule.id}",
            fix="check that the expectation suits the type of its column",
        )
    return result


def _row_finding(
    rule: Rule, result: Any, frame: pd.DataFrame, parameters: Mapping[str, float]
) -> Finding:
    """Turn one result about rows into a finding."""
    found = _result(rule, result).result
    if not EXPECTATIONS[rule.expectation].is_row:
        observed = float(f"{float(found['observed_value']):.6g}")
        if result.success:
            return passed(rule, len(frame), observed=observed)
        text = _measure_text(rule, observed, parameters)
        return failed_table(rule, text, len(frame), observed=observed)
    checked = int(found.get("element_count", 0)) - int(found.get("missing_count") or 0)
    if result.success:
        return passed(rule, checked)
    rows = np.sort(np.array(found["unexpected_index_list"], dtype=np.int64))
    columns = [name for name in rule.columns if name in frame]
    first = frame.loc[rows[:_MAX_SHOWN], columns]
    values = {name: first[name].tolist() for name in columns}
    return failed_rows(rule, rows, checked=checked, total=len(frame), shown=values)


def _measure_text(rule: Rule, value: float, parameters: Mapping[str, float]) -> str:
    """Say what was measured and what was expected."""
    arguments = fill_arguments(rule, parameters)
    low, high = arguments.get("min_value"), arguments.get("max_value")
    if low is not None and high is not None:
        expected = f"between {low:g} and {high:g}"
    elif low is not None:
        expected = f"at least {low:g}"
    elif high is not None:
        expected = f"at most {high:g}"
    else:
        expected = f"one of {arguments.get('value_set')}"
    return f"{rule.columns[0]} is {value:g}, expected {expected}: {rule.breach}"
