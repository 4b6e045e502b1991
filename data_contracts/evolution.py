"""How a contract may change: what two versions differ in, and which version number that asks for.

A major change may break somebody who reads or writes the table: a column removed, retyped or newly
required, a rule added or tightened. A minor change cannot: an optional column added, a rule
relaxed or only reporting. Everything else, such as a better reason, is a patch.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from data_contracts.model import Contract, DriftRule, Property, Rule

Bump = Literal["patch", "minor", "major"]

_ORDER: tuple[Bump, ...] = ("patch", "minor", "major")
_STRICTNESS = {"report": 0, "quarantine": 1, "block": 2}
_EMPTINESS = {"always": 0, "partition": 1, "never": 2}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference between two versions.

    Attributes:
        bump: What it asks of the version number.
        where: Column, rule or setting.
        what: What changed, in words.
    """

    bump: Bump
    where: str
    what: str


def diff_contracts(old: Contract, new: Contract) -> tuple[Change, ...]:
    """List what changed between two versions of a contract.

    Args:
        old: Earlier version.
        new: Later version.

    Returns:
        Changes, the gravest first; empty if nothing changed.
    """
    changes = [
        *_settings(old, new),
        *_properties(old, new),
        *_rules(old, new),
        *_drift(old, new),
        *_expressions(old, new),
        *_parameters(old, new),
    ]
    return tuple(sorted(changes, key=lambda item: (-_ORDER.index(item.bump), item.where)))


def required_bump(changes: tuple[Change, ...]) -> Bump | None:
    """Say which part of the version must rise.

    Args:
        changes: Result of `diff_contracts`.

    Returns:
        The gravest change; None if nothing changed.
    """
    return max((item.bump for item in changes), key=_ORDER.index, default=None)


def is_bump_enough(old: str, new: str, required: Bump | None) -> bool:
    """Say whether a version rose enough.

    Args:
        old: Earlier version.
        new: Later version.
        required: Result of `required_bump`.

    Returns:
        Whether it did; a version never falls.

    Example:
        >>> is_bump_enough("1.2.0", "1.3.0", "minor"), is_bump_enough("1.2.0", "1.3.0", "major")
        (True, False)
    """
    before, after = _numbers(old), _numbers(new)
    if required is None:
        return after >= before
    parts = 3 - _ORDER.index(required)
    return after[:parts] > before[:parts]


def _numbers(version: str) -> tuple[int, ...]:
    """Split a version."""
    return tuple(int(part) for part in version.split("."))


def _settings(old: Contract, new: Contract) -> Iterator[Change]:
    """Compare what holds for the whole table."""
    if old.name != new.name:
        yield Change("major", "id", f"renamed from {old.name} to {new.name}")
    if old.key != new.key:
        yield Change("major", "key", f"changed from {old.key} to {new.key}")
    if old.partition_column != new.partition_column:
        yield Change("major", "partition", f"moved to {new.partition_column or 'none'}")
    if old.allow_empty != new.allow_empty:
        is_tighter = _EMPTINESS[new.allow_empty] > _EMPTINESS[old.allow_empty]
        yield Change(_bump(is_tighter), "allow_empty", f"{old.allow_empty} -> {new.allow_empty}")
    if old.open_columns != new.open_columns:
        yield Change(_bump(old.open_columns), "open_columns", f"now {new.open_columns}")
    before, after = old.max_quarantine_share, new.max_quarantine_share
    if before != after:
        yield Change(_bump(after < before), "max_quarantine_share", f"{before:g} -> {after:g}")
    for name in ("status", "owner", "purpose"):
        if getattr(old, name) != getattr(new, name):
            yield Change("patch", name, "reworded")


def _properties(old: Contract, new: Contract) -> Iterator[Change]:
    """Compare columns."""
    before = {item.name: item for item in old.properties}
    after = {item.name: item for item in new.properties}
    for name in before.keys() - after.keys():
        yield Change("major", name, "column removed")
    for name in after.keys() - before.keys():
        if after[name].may_be_absent:
            yield Change("minor", name, "optional column added")
        else:
            yield Change("major", name, "column added that every writer must fill")
    for name in before.keys() & after.keys():
        yield from _property(before[name], after[name])


def _property(old: Property, new: Property) -> Iterator[Change]:
    """Compare one column."""
    if old.physical_type != new.physical_type:
        yield Change("major", old.name, f"retyped from {old.physical_type} to {new.physical_type}")
    if old.unit != new.unit:
        yield Change("major", old.name, f"unit changed from {old.unit!r} to {new.unit!r}")
    if old.is_required != new.is_required:
        what = "now required" if new.is_required else "now nullable"
        yield Change(_bump(new.is_required), old.name, what)
    if old.may_be_absent != new.may_be_absent:
        what = "may now be absent" if new.may_be_absent else "must now be present"
        yield Change(_bump(old.may_be_absent), old.name, what)
    if old.zero_means_none != new.zero_means_none:
        what = "0 now means none" if new.zero_means_none else "0 is now refused"
        yield Change(_bump(old.zero_means_none), old.name, what)
    if (old.description, old.logical_type) != (new.description, new.logical_type):
        yield Change("patch", old.name, "reworded")


def _rules(old: Contract, new: Contract) -> Iterator[Change]:
    """Compare the rules of the YAML; structural ones follow from the columns."""
    before = {item.id: item for item in old.rules if item.expectation}
    after = {item.id: item for item in new.rules if item.expectation}
    for rule_id in before.keys() - after.keys():
        yield Change("minor", rule_id, "rule removed")
    for rule_id in after.keys() - before.keys():
        is_tighter = after[rule_id].on_fail != "report"
        yield Change(_bump(is_tighter), rule_id, f"rule added, on_fail {after[rule_id].on_fail}")
    for rule_id in before.keys() & after.keys():
        yield from _rule(before[rule_id], after[rule_id])


def _rule(old: Rule, new: Rule) -> Iterator[Change]:
    """Compare one rule."""
    if old.expectation != new.expectation or old.columns != new.columns:
        yield Change("major", old.id, "another rule under the same id")
        return
    if old.on_fail != new.on_fail:
        is_tighter = _STRICTNESS[new.on_fail] > _STRICTNESS[old.on_fail]
        yield Change(_bump(is_tighter), old.id, f"on_fail {old.on_fail} -> {new.on_fail}")
    if old.whole_window != new.whole_window:
        yield Change(_bump(old.whole_window), old.id, f"whole_window {new.whole_window}")
    for name in sorted({*old.arguments, *new.arguments}):
        before, after = old.arguments.get(name), new.arguments.get(name)
        if before != after:
            is_relaxed = _is_relaxed(name, before, after)
            yield Change(_bump(not is_relaxed), old.id, f"{name} {before} -> {after}")
    if (old.breach, old.reason, old.fix, old.severity) != (
        new.breach,
        new.reason,
        new.fix,
        new.severity,
    ):
        yield Change("patch", old.id, "reworded")


def _is_relaxed(name: str, old: Any, new: Any) -> bool:
    """Say whether an argument accepts everything it accepted before; unclear means no."""
    if name == "value_set":
        return set(new or ()) >= set(old or ())
    if name in ("strict_min", "strict_max", "or_equal"):
        return bool(new) == (name == "or_equal")
    if new is None:
        return True
    if old is None or isinstance(old, str) or isinstance(new, str):
        return False
    is_lower_bound = name in ("min_value", "mostly")
    return bool(new < old) if is_lower_bound else name == "max_value" and bool(new > old)


def _drift(old: Contract, new: Contract) -> Iterator[Change]:
    """Compare rules about days."""
    before, after = ({item.id: item for item in side.drift} for side in (old, new))
    for rule_id in before.keys() - after.keys():
        yield Change("minor", rule_id, "drift rule removed")
    for rule_id in after.keys() - before.keys():
        is_tighter = after[rule_id].on_fail != "report"
        yield Change(_bump(is_tighter), rule_id, "drift rule added")
    for rule_id in before.keys() & after.keys():
        yield from _drift_rule(before[rule_id], after[rule_id])


def _drift_rule(old: DriftRule, new: DriftRule) -> Iterator[Change]:
    """Compare one rule about days."""
    if (old.column, old.method, old.edges) != (new.column, new.method, new.edges):
        yield Change("major", old.id, "another statistic; stored profiles no longer compare")
    if old.bound != new.bound:
        yield Change(_bump(new.bound < old.bound), old.id, f"bound {old.bound:g} -> {new.bound:g}")
    if old.on_fail != new.on_fail:
        is_tighter = _STRICTNESS[new.on_fail] > _STRICTNESS[old.on_fail]
        yield Change(_bump(is_tighter), old.id, f"on_fail {old.on_fail} -> {new.on_fail}")
    if (old.min_days, old.window_days, old.severity) != (
        new.min_days,
        new.window_days,
        new.severity,
    ) or (old.breach, old.reason, old.fix) != (new.breach, new.reason, new.fix):
        yield Change("patch", old.id, "reworded or another window")


def _expressions(old: Contract, new: Contract) -> Iterator[Change]:
    """Compare joins and SQL; nobody can tell by machine whether other SQL is stricter."""
    before, after = _by_name(old), _by_name(new)
    for name in sorted({*before, *after}):
        if name in before and name in after and before[name] != after[name]:
            yield Change("major", name, "computed differently; rules on it mean something else")
        elif name not in before or name not in after:
            yield Change("patch", name, "computed name added" if name in after else "removed")


def _by_name(contract: Contract) -> Mapping[str, object]:
    """Index everything that is computed."""
    joins = {f"join with {item.table}": item for item in contract.references}
    return {**joins, **contract.expressions}


def _parameters(old: Contract, new: Contract) -> Iterator[Change]:
    """Compare bounds that may be changed from outside."""
    before, after = ({item.name: item for item in side.parameters} for side in (old, new))
    for name in sorted(before.keys() & after.keys()):
        one, two = before[name], after[name]
        if (one.value, one.sources) != (two.value, two.sources):
            yield Change(
                "major", f"${name}", f"{one.value} {two.sources} -> {two.value} {two.sources}"
            )
        elif one.reason != two.reason:
            yield Change("patch", f"${name}", "reworded")


def _bump(is_tighter: bool) -> Bump:
    """Say what a change asks for."""
    return "major" if is_tighter else "minor"
