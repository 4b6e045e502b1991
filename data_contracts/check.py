"""Check a table against its contract: structure first, then values, then measures, then drift.

Rows that break a quarantine rule are set aside before measures are taken, so that one bad row
neither blocks a day nor hides in an average.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.drift import DayProfile
from data_contracts.finding import Finding, bad_rows, failed_table, passed, skipped, to_outcome
from data_contracts.load import contract_names, load_contract
from data_contracts.model import EMPTY_DAYS, NO_VALUES, Contract, DriftRule, Rule
from data_contracts.outcome import ROW_COLUMN, RULES_COLUMN, CheckOutcome, describe
from data_contracts.report import write_check_reports
from data_contracts.rule_checks import RuleChecks, Setting, check_rules
from data_contracts.structure import check_shape_of_table, check_values
from gpr_core.support.errors import ArtifactError, ConfigError, suggest_name

__all__ = ["CheckOutcome", "check_file", "check_table", "read_parquet", "write_check_reports"]

_LOGGER = logging.getLogger("gpr.contracts")


def check_file(
    name: str,
    path: Path,
    *,
    references: Mapping[str, pa.Table] | None = None,
    parameters: Mapping[str, float] | None = None,
    is_partition: bool = False,
) -> CheckOutcome:
    """Read a Parquet file and check it.

    Args:
        name: Contract name.
        path: The file.
        references: See `check_table`.
        parameters: See `check_table`.
        is_partition: See `check_table`.

    Returns:
        The outcome.

    Raises:
        ArtifactError: If the file is missing or is not readable Parquet.
        ConfigError: If the contract, a reference or a parameter is unknown.
    """
    return check_table(
        name,
        read_parquet(path, where=name),
        references=references,
        parameters=parameters,
        is_partition=is_partition,
    )


def read_parquet(path: Path, *, where: str) -> pa.Table:
    """Read a Parquet file as it is, without guessing columns from its folder.

    Args:
        path: The file.
        where: Contract name, for the message.

    Returns:
        Its rows.

    Raises:
        ArtifactError: If the file is missing or is not readable Parquet.
    """
    if not path.is_file():
        raise ArtifactError(f"{where}: file not found", where=str(path), fix="check the path")
    try:
        return pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise ArtifactError(
            f"{where}: the file is not readable Parquet, it is corrupt or cut short: {error}",
            where=str(path),
            fix="write the file again; a producer renames a file only when it is complete",
        ) from error


def check_table(
    name: str,
    table: pa.Table,
    *,
    references: Mapping[str, pa.Table] | None = None,
    parameters: Mapping[str, float] | None = None,
    profiles: Sequence[DayProfile] | None = None,
    landed: Mapping[date, int] | None = None,
    is_partition: bool = False,
) -> CheckOutcome:
    """Check a table against its contract.

    A rule whose reference tables, parameters or history are not given is skipped, which the
    outcome says; `raise_if_failed(require_all=True)` refuses skipped rules.

    Args:
        name: Contract name.
        table: The rows.
        references: Other tables by contract name, for rules across tables.
        parameters: Bounds other than the contract's own, for example of `source_parameters`.
        profiles: Profiles to compare in order of days, the day to judge last; None profiles the
            UTC days of the table itself.
        landed: Landed day -> rows of its partition, where the partitions are known.
        is_partition: Whether the table is one daily partition rather than a whole window.

    Returns:
        The outcome; it never raises for bad data.

    Raises:
        ConfigError: If the contract, a reference or a parameter is unknown.
    """
    contract = load_contract(name)
    given: Mapping[str, pa.Table] = references if references is not None else {}
    for other in given:
        if other not in contract_names():
            raise ConfigError(
                f"unknown reference table {other!r}",
                where=f"references of {name}",
                fix=suggest_name(other, contract_names()),
            )
    bounds = contract.resolve_parameters(parameters or NO_VALUES)
    findings = check_shape_of_table(
        contract,
        table,
        is_partition=is_partition,
        landed=landed,
        empty_days_high=bounds.get(EMPTY_DAYS, 0.0),
    )
    values = RuleChecks(())
    if not any(finding.status == "failed" for finding in findings):
        findings += check_values(contract, table) if table.num_rows else []
        days = None if profiles is None else tuple(profiles)
        setting = Setting(contract, given, bounds, days, is_partition)
        values = check_rules(setting, table, bad_rows(findings))
    return _assemble(contract, table, [*findings, *values.findings], values)


def _assemble(
    contract: Contract,
    table: pa.Table,
    findings: Sequence[Finding],
    values: RuleChecks,
) -> CheckOutcome:
    """Split the table, judge the quarantined share, and order outcomes as in the contract."""
    bad = bad_rows(findings)
    [share_rule] = [rule for rule in contract.rules if rule.id == f"{contract.prefix}-SHARE"]
    by_id = {
        finding.rule.id: finding
        for finding in [*findings, _share(contract, share_rule, table, bad)]
    }
    for rule in contract.all_rules:
        by_id.setdefault(rule.id, _unreached(rule, table))
    outcomes = tuple(to_outcome(contract, table, by_id[rule_id]) for rule_id in contract.rule_ids)
    is_blocked = any(item.status == "failed" and item.on_fail == "block" for item in outcomes)
    keep = np.ones(table.num_rows, dtype=bool)
    keep[bad] = False
    outcome = CheckOutcome(
        contract=contract.name,
        version=contract.version,
        rows=table.num_rows,
        rules=outcomes,
        clean=table if not bad.size else table.filter(pa.array(keep)),
        quarantine=_quarantine(table, bad, findings),
        ok=not is_blocked,
        profiles=values.profiles,
        validations=values.validations,
    )
    for broken in outcome.failed_rules:
        _LOGGER.warning("%s", describe(outcome, broken, examples=3))
    return outcome


def _unreached(rule: Rule | DriftRule, table: pa.Table) -> Finding:
    """Make the finding of a rule that nothing reached."""
    if table.num_rows == 0:
        return passed(rule, 0)
    return skipped(rule, "the columns, types or rows are wrong")


def _share(contract: Contract, rule: Rule, table: pa.Table, bad: npt.NDArray[np.int64]) -> Finding:
    """Judge how many rows would be set aside."""
    total = table.num_rows
    share = len(bad) / total if total else 0.0
    if share <= contract.max_quarantine_share:
        return passed(rule, total, observed=float(f"{share:.6g}"))
    text = (
        f"{len(bad):,} of {total:,} rows ({100 * share:.3g} %) would be quarantined, "
        f"at most {100 * contract.max_quarantine_share:g} % may"
    )
    return failed_table(rule, text, total, observed=float(f"{share:.6g}"))


def _quarantine(
    table: pa.Table, bad: npt.NDArray[np.int64], findings: Sequence[Finding]
) -> pa.Table:
    """Collect the rows set aside, with their position and the rules they break."""
    broken = sorted(
        (item for item in findings if item.rule.on_fail == "quarantine" and item.rows.size),
        key=lambda item: item.rule.id,
    )
    marks = np.zeros((len(bad), len(broken)), dtype=bool)
    for idx, finding in enumerate(broken):
        marks[np.searchsorted(bad, finding.rows), idx] = True
    sets, which = np.unique(marks, axis=0, return_inverse=True)
    texts = [",".join(broken[idx].rule.id for idx in np.flatnonzero(row)) for row in sets]
    names = pa.array(np.array([*texts, ""], dtype=object)[which.reshape(-1)], pa.string())
    taken = table.take(pa.array(bad)).append_column(ROW_COLUMN, pa.array(bad))
    return taken.append_column(RULES_COLUMN, names)
