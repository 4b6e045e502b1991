"""What a check found, and the message it becomes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from data_contracts.drift import DayProfile
from data_contracts.model import OnFail, Severity
from gpr_core.support.errors import ContractError

Status = Literal["passed", "failed", "skipped", "vacuous"]

RULES_COLUMN = "broken_rules"
ROW_COLUMN = "checked_row"
_SHOWN_RULES = 10
_SHOWN_EXAMPLES = 5
_SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleOutcome:
    """Outcome of one rule on one table.

    Attributes:
        id: Rule id.
        status: `skipped` means that something it needs was not given; `vacuous` that no row or
            too few rows applied to it.
        severity: How bad a breach is.
        on_fail: What a breach does.
        message: What was found, in words.
        checked: Rows the rule looked at.
        failed: Rows that break it; 1 for a broken measure.
        observed: The measured number; None for a rule about rows.
        examples: Up to ten failing rows in words, keys masked.
        reason: Why the rule exists.
        fix: How to mend a breach.
    """

    id: str
    status: Status
    severity: Severity
    on_fail: OnFail
    message: str
    checked: int
    failed: int
    observed: float | None
    examples: tuple[str, ...]
    reason: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOutcome:
    """Outcome of checking one table.

    Attributes:
        contract: Contract name.
        version: Contract version.
        rows: Rows that were handed in.
        rules: One outcome per rule of the contract, in its order.
        clean: The rows that may be used, in their order and schema.
        quarantine: The rows set aside, with their position and the rules they break.
        ok: Whether the clean rows may be used.
        profiles: Statistics of the days that were compared, the judged day last.
        validations: (`rows` or `measures`, result of Great Expectations), for its report pages.
    """

    contract: str
    version: str
    rows: int
    rules: tuple[RuleOutcome, ...]
    clean: pa.Table = field(compare=False, repr=False)
    quarantine: pa.Table = field(compare=False, repr=False)
    ok: bool
    profiles: tuple[DayProfile, ...] = field(default=(), repr=False)
    validations: tuple[tuple[str, Any], ...] = field(default=(), compare=False, repr=False)

    @property
    def failed_rules(self) -> tuple[RuleOutcome, ...]:
        """Broken rules, the worst first."""
        broken = [rule for rule in self.rules if rule.status == "failed"]
        return tuple(sorted(broken, key=lambda rule: _SEVERITIES.index(rule.severity)))

    @property
    def skipped_rules(self) -> tuple[RuleOutcome, ...]:
        """Rules that were not checked because something they need was not given."""
        return tuple(rule for rule in self.rules if rule.status == "skipped")

    def raise_if_failed(
        self, where: str, *, reports: Path | None = None, require_all: bool = False
    ) -> None:
        """Refuse the table if it broke its contract.

        Args:
            where: Step and file, for the message.
            reports: Folder given to `write_check_reports`, to be named in the message.
            require_all: Refuse also when a rule was skipped.

        Raises:
            ContractError: If the table must not be used.
        """
        raise_if_any_failed([self], where, reports=reports, require_all=require_all)


def quarantine_path(reports: Path, contract: str) -> Path:
    """Name the file of rows set aside.

    Args:
        reports: Folder of the reports.
        contract: Contract name.

    Returns:
        Its path, whether or not it exists.
    """
    return reports / "quarantine" / f"{contract}.parquet"


def describe(
    outcome: CheckOutcome, rule: RuleOutcome, *, reports: Path | None = None, examples: int = 10
) -> str:
    """Put the outcome of one rule into one line.

    Args:
        outcome: The table's outcome.
        rule: One of its rules.
        reports: Folder of the reports, if they were written.
        examples: Most examples to show.

    Returns:
        For example `requests RQ-001: 4 of 900 rows have ..., first 4: ..., quarantined at PATH`.
    """
    text = f"{outcome.contract} {rule.id}: {rule.message}"
    shown = rule.examples[:examples]
    if shown:
        text += f", first {len(shown)}: " + "; ".join(shown)
    if reports is not None and rule.on_fail == "quarantine" and rule.status == "failed":
        text += f", quarantined at {quarantine_path(reports, outcome.contract)}"
    return text


def raise_if_any_failed(
    outcomes: Iterable[CheckOutcome],
    where: str,
    *,
    reports: Path | None = None,
    require_all: bool = False,
) -> None:
    """Refuse a set of tables if one of them broke its contract.

    Args:
        outcomes: Outcomes of `check_table`.
        where: Step, for the message.
        reports: Folder given to `write_check_reports`, to be named in the message.
        require_all: Refuse also when a rule was skipped.

    Raises:
        ContractError: If one table must not be used; it shows at most 10 rules, 5 examples each.
    """
    lines: list[str] = []
    fixes: list[str] = []
    tables: list[str] = []
    for outcome in outcomes:
        shown = _refused(outcome, require_all=require_all)
        if shown:
            tables.append(f"{outcome.contract} {outcome.version}")
        for rule in shown:
            lines.append(describe(outcome, rule, reports=reports, examples=_SHOWN_EXAMPLES))
            fixes.append(f"{rule.id}: {rule.fix}")
    if not lines:
        return
    more = len(lines) - _SHOWN_RULES
    shown_lines = lines[:_SHOWN_RULES] + ([f"... and {more} more rules"] if more > 0 else [])
    report = f"; full report in {reports}" if reports is not None else ""
    raise ContractError(
        f"contract broken: {', '.join(tables)}\n" + "\n".join(shown_lines),
        where=where + report,
        fix="; ".join(fixes[:3]),
    )


def _refused(outcome: CheckOutcome, *, require_all: bool) -> Sequence[RuleOutcome]:
    """List the rules to show for one table; none if it may be used."""
    skipped = outcome.skipped_rules if require_all else ()
    return (*outcome.failed_rules, *skipped) if not outcome.ok or skipped else ()
