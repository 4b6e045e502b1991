"""The rules of the YAML on one table: derived columns, row rules, measures, drift.

Rows that break a quarantine rule are set aside before measures are taken, so that one bad row
neither blocks a day nor hides in an average.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_contracts.derive import DerivedRows, names_for_measure
from data_contracts.drift import DayProfile, DriftResult, compare_last_day
from data_contracts.finding import Finding, bad_rows, failed_table, passed, skipped
from data_contracts.lineage import Needs, rule_needs
from data_contracts.model import Contract, Rule
from data_contracts.profiles import profile_days
from data_contracts.suite import run_on_measures, run_on_rows


@dataclass(frozen=True, slots=True, eq=False)
class RuleChecks:
    """What the checks of values gave.

    Attributes:
        findings: One per rule that was reached.
        profiles: One per day that was compared, the judged day last.
        validations: (what it is about, result of Great Expectations).
    """

    findings: tuple[Finding, ...]
    profiles: tuple[DayProfile, ...] = ()
    validations: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Setting:
    """What one check is done with.

    Attributes:
        contract: The contract.
        references: Reference tables that were given.
        parameters: Parameters that have a value.
        profiles: Profiles to compare, the day to judge last; None profiles the table.
        is_partition: Whether the table is one daily partition.
    """

    contract: Contract
    references: Mapping[str, pa.Table]
    parameters: Mapping[str, float]
    profiles: tuple[DayProfile, ...] | None
    is_partition: bool

    def missing(self, needs: Needs) -> str:
        """Say what is missing for some needs.

        Args:
            needs: What a rule depends on.

        Returns:
            Words for a message; empty if nothing is missing.
        """
        own = set() if self.is_partition else {self.contract.name}
        tables = sorted(needs.tables - self.references.keys() - own)
        bounds = sorted(needs.parameters - self.parameters.keys())
        parts = [f"no reference table {', '.join(tables)} was given"] if tables else []
        parts += [f"no parameter {', '.join(bounds)} was given"] if bounds else []
        return " and ".join(parts)


def check_rules(setting: Setting, table: pa.Table, bad: npt.NDArray[np.int64]) -> RuleChecks:
    """Check the rules of the YAML on the rows that are structurally sound.

    Args:
        setting: What the check is done with.
        table: The table that was handed in, with the right columns and types.
        bad: [M] int64, positions of rows that are structurally broken.

    Returns:
        Findings, profiles and validation results.
    """
    contract = setting.contract
    rules = [rule for rule in contract.rules if rule.expectation]
    findings: list[Finding] = []
    ready: list[Rule] = []
    for rule in rules:
        why = setting.missing(rule_needs(contract, rule))
        if rule.whole_window and setting.is_partition:
            why = "it needs the whole window, this is one partition"
        if why:
            findings.append(skipped(rule, why))
        else:
            ready.append(rule)
    rows = np.setdiff1d(np.arange(table.num_rows, dtype=np.int64), bad, assume_unique=True)
    profiles = setting.profiles
    if profiles is None:
        profiles = tuple(profile_days(contract, table)) if rows.size else ()
    findings += _judge_drift(contract, profiles)
    if not rows.size:
        findings += [passed(rule, 0) for rule in ready]
        return RuleChecks(tuple(findings), profiles)
    sound = table if not bad.size else table.take(pa.array(rows))
    values = _check_sound_rows(setting, sound, rows, ready)
    return RuleChecks((*findings, *values.findings), profiles, values.validations)


def _check_sound_rows(
    setting: Setting, table: pa.Table, rows: npt.NDArray[np.int64], rules: Sequence[Rule]
) -> RuleChecks:
    """Compute derived columns, then run row rules and measure rules."""
    contract = setting.contract
    measures = {item.name: item for item in contract.measures}
    row_rules = [rule for rule in rules if not measures.keys() & set(rule.columns)]
    measure_rules = [rule for rule in rules if measures.keys() & set(rule.columns)]
    wanted = [measures[name] for rule in measure_rules for name in rule.columns]
    row_names = {name for rule in row_rules for name in rule.columns}
    aggregated = {name for item in wanted for name in names_for_measure(contract, item)}
    tables = {table for rule in rules for table in rule_needs(contract, rule).tables}
    tables &= setting.references.keys()
    findings: list[Finding] = []
    validations: list[tuple[str, Any]] = []
    with DerivedRows(
        contract,
        table,
        rows,
        references={name: setting.references[name] for name in sorted(tables)},
        parameters=setting.parameters,
        names=sorted(row_names | aggregated),
    ) as derived:
        bad = np.zeros(0, dtype=np.int64)
        if row_rules:
            frame = derived.frame(row_names)
            run = run_on_rows(contract, row_rules, frame, setting.parameters)
            findings += run.findings
            validations.append(("rows", run.validation))
            bad = bad_rows(findings)
        if wanted:
            numbers = derived.measure(list(dict.fromkeys(wanted)), bad)
            kept = table.num_rows - len(bad)
            more, pages = _judge_measures(
                contract, measure_rules, numbers, kept, setting.parameters
            )
            findings += more
            validations += pages
    return RuleChecks(tuple(findings), validations=tuple(validations))


def _judge_measures(
    contract: Contract,
    rules: Sequence[Rule],
    numbers: Mapping[str, float | None],
    rows: int,
    parameters: Mapping[str, float],
) -> tuple[list[Finding], list[tuple[str, Any]]]:
    """Judge measured numbers; null does not apply, NaN always fails."""
    findings: list[Finding] = []
    ready: list[Rule] = []
    finite: dict[str, float] = {}
    for rule in rules:
        value = numbers[rule.columns[0]]
        if value is None:
            findings.append(passed(rule, 0))
        elif np.isnan(value):
            findings.append(failed_table(rule, f"{rule.columns[0]} is not a number", rows))
        else:
            ready.append(rule)
            finite[rule.columns[0]] = value
    if not ready:
        return findings, []
    run = run_on_measures(contract, ready, finite, rows, parameters)
    return [*findings, *run.findings], [("measures", run.validation)]


def _judge_drift(contract: Contract, profiles: Sequence[DayProfile]) -> list[Finding]:
    """Judge the last day against the days before."""
    if not profiles:
        return [skipped(rule, "the table has no day to judge") for rule in contract.drift]
    return [_drift_finding(item, profiles[-1]) for item in compare_last_day(contract, profiles)]


def _drift_finding(result: DriftResult, last: DayProfile) -> Finding:
    """Turn one comparison into a finding."""
    rule = result.rule
    if result.value is None:
        return skipped(rule, f"history has {result.days} of {rule.min_days} days")
    value = float(f"{result.value:.6g}")
    if result.value <= result.limit:
        return passed(rule, last.rows, observed=value)
    text = (
        f"on {result.day} {rule.method} of {rule.column} against {result.days} earlier days is "
        f"{value:g}, expected at most {result.limit:.3g}: {rule.breach}"
    )
    return failed_table(rule, text, last.rows, observed=value)
