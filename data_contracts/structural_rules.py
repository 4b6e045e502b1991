"""The rules every contract has without writing them: they follow from its columns and key."""

from collections.abc import Sequence

from data_contracts.model import AllowEmpty, OnFail, Property, Rule

_TEXTS: dict[str, tuple[OnFail, str, str, str]] = {
    "COLUMNS": (
        "block",
        "other columns than the contract",
        "a missing column breaks readers; an unknown one may carry what nobody agreed to store",
        "write exactly the columns of the contract, or evolve the contract first",
    ),
    "TYPES": (
        "block",
        "a column of another type than the contract",
        "a key read as float loses digits, a time read as text compares wrongly",
        "cast the column to the type of the contract before writing",
    ),
    "ROWS": (
        "block",
        "no rows",
        "a gate that saw no row has checked nothing and must not pass",
        "check that the day has landed and that no filter removed everything",
    ),
    "SHARE": (
        "block",
        "more rows to quarantine than the contract accepts",
        "a few bad rows are noise, many are a broken producer",
        "mend the producer and land the table again; read the quarantined rows first",
    ),
    "NULLS": (
        "quarantine",
        "a null in a required column",
        "training has no meaning for a missing value here",
        "fill the value in the producer, or use the code for unknown",
    ),
    "FINITE": (
        "quarantine",
        "a NaN or infinite value",
        "one NaN spreads through every sum, loss and weight that touches it",
        "find the division or logarithm that made it; never store NaN",
    ),
    "KEYS": (
        "quarantine",
        "a key outside [1, 2**63)",
        "keys are cast to int64 in training, and 0 means none",
        "drop the top bit when hashing keys, and never issue key 0",
    ),
    "UNIQUE": (
        "quarantine",
        "a duplicate key",
        "a row landed twice counts twice, in joins even squared",
        "land each key once; the first row is kept, the repeats are set aside",
    ),
}


def structural_rules(
    prefix: str, allow_empty: AllowEmpty, properties: Sequence[Property]
) -> tuple[Rule, ...]:
    """List the structural rules of a contract.

    Args:
        prefix: Rule prefix of the contract.
        allow_empty: When zero rows are accepted.
        properties: Its columns.

    Returns:
        Rules with ids like `IM-COLUMNS`, only those that can fail for these columns.
    """
    words = ["COLUMNS", "TYPES", "SHARE"]
    if allow_empty != "always":
        words.append("ROWS")
    if any(item.is_required for item in properties):
        words.append("NULLS")
    if any("float" in item.physical_type for item in properties):
        words.append("FINITE")
    if any(item.is_key_column for item in properties):
        words.append("KEYS")
    if any(item.key_position is not None for item in properties):
        words.append("UNIQUE")
    return tuple(_structural(prefix, word) for word in words)


def _structural(prefix: str, word: str) -> Rule:
    """Make one structural rule."""
    on_fail, breach, reason, fix = _TEXTS[word]
    return Rule(
        id=f"{prefix}-{word}",
        expectation="",
        arguments={},
        severity="critical",
        on_fail=on_fail,
        breach=breach,
        reason=reason,
        fix=fix,
    )
