"""The raw result of one rule before it becomes an outcome, and examples of failing rows."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data_contracts.model import Contract, DriftRule, Rule
from data_contracts.outcome import RuleOutcome, Status

_EXAMPLES = 10
_MASK_DIGITS = 8
NO_ROWS: npt.NDArray[np.int64] = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """Result of one rule.

    Attributes:
        rule: The rule.
        status: How it ended.
        message: What was found, in words.
        checked: Rows it looked at.
        rows: [M] int64, positions of the failing rows in the table that was handed in.
        observed: The measured number, if it is about one.
        shown: Column -> what the first failing rows show.
    """

    rule: Rule | DriftRule
    status: Status
    message: str
    checked: int
    rows: npt.NDArray[np.int64]
    observed: float | None = None
    shown: Mapping[str, Sequence[Any]] | None = None


def passed(rule: Rule | DriftRule, checked: int, *, observed: float | None = None) -> Finding:
    """Make the finding of a rule that holds.

    Args:
        rule: The rule.
        checked: Rows it looked at; none makes it vacuous.
        observed: The measured number, if any.

    Returns:
        The finding.
    """
    if checked == 0:
        return Finding(rule, "vacuous", "no row applies", 0, NO_ROWS, observed)
    return Finding(rule, "passed", "holds", checked, NO_ROWS, observed)


def skipped(rule: Rule | DriftRule, why: str) -> Finding:
    """Make the finding of a rule that could not be checked.

    Args:
        rule: The rule.
        why: What was missing.

    Returns:
        The finding.
    """
    return Finding(rule, "skipped", f"not checked: {why}", 0, NO_ROWS)


def failed_table(
    rule: Rule | DriftRule, message: str, checked: int, *, observed: float | None = None
) -> Finding:
    """Make the finding of a broken rule that has no single wrong row.

    Args:
        rule: The rule.
        message: What was found.
        checked: Rows it looked at.
        observed: The measured number, if any.

    Returns:
        The finding.
    """
    return Finding(rule, "failed", message, checked, NO_ROWS, observed)


def failed_rows(
    rule: Rule,
    rows: npt.NDArray[np.int64],
    *,
    checked: int,
    total: int,
    shown: Mapping[str, Sequence[Any]] | None = None,
) -> Finding:
    """Make the finding of a broken rule about rows.

    Args:
        rule: The rule.
        rows: [M] int64, failing positions, ascending.
        checked: Rows it looked at.
        total: Rows of the table.
        shown: Column -> what the first failing rows show.

    Returns:
        The finding.
    """
    message = f"{len(rows):,} of {total:,} rows have {rule.breach}"
    return Finding(rule, "failed", message, checked, rows, None, shown)


def to_outcome(contract: Contract, table: pa.Table, finding: Finding) -> RuleOutcome:
    """Turn a finding into what callers see.

    Args:
        contract: The contract.
        table: The table that was handed in, for examples.
        finding: The finding.

    Returns:
        The outcome, with masked examples.
    """
    rule = finding.rule
    is_failed = finding.status == "failed"
    return RuleOutcome(
        id=rule.id,
        status=finding.status,
        severity=rule.severity,
        on_fail=rule.on_fail,
        message=finding.message,
        checked=finding.checked,
        failed=max(len(finding.rows), 1) if is_failed else 0,
        observed=finding.observed,
        examples=_examples(contract, table, finding) if is_failed else (),
        reason=rule.reason,
        fix=rule.fix,
    )


def bad_rows(findings: Sequence[Finding]) -> npt.NDArray[np.int64]:
    """Join the rows that quarantine rules set aside.

    Args:
        findings: Findings of any rules.

    Returns:
        [M] int64 positions, ascending, each once.
    """
    parts = [item.rows for item in findings if item.rule.on_fail == "quarantine"]
    return np.unique(np.concatenate([NO_ROWS, *parts]))


def mask(value: object) -> str:
    """Replace a key or a text by a short hash, so that equal values can still be recognized.

    Args:
        value: The value.

    Returns:
        `#` and eight hex digits.

    Example:
        >>> mask(7) == mask(7), len(mask(7))
        (True, 9)
    """
    return "#" + hashlib.sha256(str(value).encode()).hexdigest()[:_MASK_DIGITS]


def _examples(contract: Contract, table: pa.Table, finding: Finding) -> tuple[str, ...]:
    """Describe the first failing rows: position, masked key, the values the rule is about."""
    rows = finding.rows[:_EXAMPLES]
    key = [name for name in contract.key if name in table.column_names]
    keys = {name: table[name].take(pa.array(rows)).to_pylist() for name in key}
    hidden = {
        item.name
        for item in contract.properties
        if item.is_key_column or "string" in item.physical_type
    }
    values = finding.shown or {}
    shown = [name for name in key if name in hidden] + list(values)
    texts = []
    for idx, row in enumerate(rows.tolist()):
        parts = []
        for name in dict.fromkeys(shown):
            value = values[name][idx] if name in values else keys[name][idx]
            parts.append(f"{name}={mask(value) if name in hidden else _short(value)}")
        texts.append(f"row {row}" + (f" ({', '.join(parts)})" if parts else ""))
    return tuple(texts)


def _short(value: object) -> str:
    """Print a value in few characters."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else f"{value:.6g}"
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
