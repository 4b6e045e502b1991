"""Which references, parameters and columns each computed name and rule depends on."""

import re
from dataclasses import dataclass

from data_contracts.model import EMPTY_DAYS, ROWS_COLUMN, Contract, Measure, Rule
from gpr_core.support.errors import ConfigError, suggest_name

_TEXT_LITERAL = re.compile(r"'(?:[^']|'')*'")
_BEYOND_THE_ROW = {"OVER", "SELECT"}
_WORD = re.compile(r"\$?[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Needs:
    """What must be at hand before something can be computed.

    Attributes:
        columns: Columns of the table itself.
        tables: Reference tables.
        parameters: Parameters.
    """

    columns: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()
    parameters: frozenset[str] = frozenset()

    def __or__(self, other: "Needs") -> "Needs":
        """Join two needs."""
        return Needs(
            self.columns | other.columns,
            self.tables | other.tables,
            self.parameters | other.parameters,
        )


def words_of(sql: str) -> tuple[set[str], set[str]]:
    """Split an expression into plain words and parameters.

    Args:
        sql: DuckDB expression.

    Returns:
        Words (columns, functions, keywords) and parameter names without `$`.

    Example:
        >>> words, parameters = words_of("price > $floor AND name <> 'price list'")
        >>> sorted(words), sorted(parameters)
        (['AND', 'name', 'price'], ['floor'])
    """
    found = set(_WORD.findall(_TEXT_LITERAL.sub("''", sql)))
    parameters = {word[1:] for word in found if word.startswith("$")}
    return {word for word in found if not word.startswith("$")}, parameters


def row_needs(contract: Contract) -> dict[str, Needs]:
    """Work out what every row-level name depends on.

    Args:
        contract: The contract.

    Returns:
        Column, reference column or derived column -> its needs.
    """
    needs = {item.name: Needs(columns=frozenset([item.name])) for item in contract.properties}
    for reference in contract.references:
        joined = Needs(tables=frozenset([reference.table]))
        for name in (*reference.keys, *([reference.as_of[0]] if reference.as_of else [])):
            joined |= needs.get(name, Needs())
        needs.update(dict.fromkeys(reference.columns, joined))
    for derived in contract.derived:
        needs[derived.name] = sql_needs(derived.sql, needs)
    return needs


def sql_needs(sql: str, known: dict[str, Needs]) -> Needs:
    """Work out what an expression depends on.

    Args:
        sql: DuckDB expression.
        known: Needs of the names it may use.

    Returns:
        The joined needs.
    """
    words, parameters = words_of(sql)
    total = Needs(parameters=frozenset(parameters))
    for word in words & known.keys():
        total |= known[word]
    return total


def measure_needs(measure: Measure, known: dict[str, Needs]) -> Needs:
    """Work out what a measure depends on.

    Args:
        measure: The measure.
        known: Needs of the row-level names.

    Returns:
        Its needs; a whole SELECT needs the tables it declares.
    """
    needs = sql_needs(measure.sql, known)
    if measure.is_query:
        return Needs(needs.columns, frozenset(measure.tables), needs.parameters)
    return needs


def rule_needs(contract: Contract, rule: Rule) -> Needs:
    """Work out what a rule depends on.

    Args:
        contract: The contract.
        rule: One of its rules from the YAML.

    Returns:
        The joined needs of its columns and arguments.
    """
    known = row_needs(contract)
    measures = {item.name: item for item in contract.measures}
    total = Needs(parameters=frozenset(argument_parameters(rule)))
    for name in rule.columns:
        total |= measure_needs(measures[name], known) if name in measures else known[name]
    return total


def argument_parameters(rule: Rule) -> set[str]:
    """List the parameters that the arguments of a rule name.

    Args:
        rule: The rule.

    Returns:
        Parameter names without `$`.
    """
    texts = [value for value in rule.arguments.values() if isinstance(value, str)]
    return {text[1:] for text in texts if text.startswith("$")}


def check_names(contract: Contract, *, where: str) -> None:
    """Refuse rules and expressions that name something that does not exist.

    Args:
        contract: The contract.
        where: Place for error messages.

    Raises:
        ConfigError: If a column or parameter is unknown, a name is defined twice, a rule looks at
            a key column, a rule mixes rows and measures, or a drift rule looks beyond its table.
    """
    known = row_needs(contract)
    measures = {item.name for item in contract.measures}
    _check_unique(contract, where=where)
    for rule in contract.rules:
        if not rule.expectation:
            continue
        _check_columns(contract, rule, set(known) | measures, where=where)
        if 0 < len(measures.intersection(rule.columns)) < len(rule.columns):
            raise ConfigError(
                "a rule compares rows or measures, not one with the other",
                where=f"{where} rule {rule.id}",
                fix="make a measure of both",
            )
    _check_drift(contract, known, where=where)
    _check_parameters(contract, where=where)


def _check_columns(contract: Contract, rule: Rule, names: set[str], *, where: str) -> None:
    """Refuse unknown columns, and key columns, whose values would show in reports."""
    keys = {item.name for item in contract.properties if item.is_key_column}
    for reference in contract.references:
        keys |= {name for name, there in reference.columns.items() if there.endswith("_key")}
    for name in rule.columns:
        if name not in names:
            raise ConfigError(
                f"unknown column {name!r}",
                where=f"{where} rule {rule.id}",
                fix=suggest_name(name, names),
            )
        if name in keys:
            raise ConfigError(
                f"the rule looks at the key column {name!r}, whose values would show in reports",
                where=f"{where} rule {rule.id}",
                fix="derive a number or a boolean from it, and look at that",
            )


def _check_drift(contract: Contract, known: dict[str, Needs], *, where: str) -> None:
    """Refuse drift rules on unknown columns, without days, or on more than the row itself."""
    for drift in contract.drift:
        names = {*known, ROWS_COLUMN}
        if drift.column not in names:
            raise ConfigError(
                f"unknown column {drift.column!r}",
                where=f"{where} rule {drift.id}",
                fix=suggest_name(drift.column, names),
            )
        if not contract.partition_column:
            raise ConfigError(
                "drift needs days, but no property is marked partitioned: true",
                where=f"{where} rule {drift.id}",
                fix="mark the landing column, or remove the drift rule",
            )
        needs, words = known.get(drift.column, Needs()), _words_behind(contract, drift.column)
        if needs.tables or needs.parameters or words & _BEYOND_THE_ROW:
            raise ConfigError(
                f"{drift.column!r} does not follow from the row alone, so that the profile of a "
                "day would change with other rows, tables or bounds",
                where=f"{where} rule {drift.id}",
                fix="look at a column of the table, or derive one from its columns only",
            )


def _words_behind(contract: Contract, name: str) -> set[str]:
    """Collect the words of every expression that a name is computed from, in capitals."""
    names = {name}
    for derived in reversed(contract.derived):
        if derived.name in names:
            names |= words_of(derived.sql)[0]
    return {word.upper() for word in names}


def _check_unique(contract: Contract, *, where: str) -> None:
    """Refuse a name that is defined twice."""
    names = [item.name for item in contract.properties]
    for reference in contract.references:
        names.extend(reference.columns)
    names.extend(item.name for item in contract.derived)
    names.extend(item.name for item in contract.measures)
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"the name {name!r} is defined twice", where=where, fix="rename one of them"
            )


def _check_parameters(contract: Contract, *, where: str) -> None:
    """Refuse parameters that are used but not declared, or declared but not used."""
    declared = {item.name for item in contract.parameters}
    used = _used_parameters(contract)
    for name in sorted(used - declared):
        raise ConfigError(
            f"unknown parameter ${name}", where=where, fix=suggest_name(name, declared)
        )
    for name in sorted(declared - used):
        raise ConfigError(
            f"parameter {name!r} is never used", where=where, fix="use it or remove it"
        )


def _used_parameters(contract: Contract) -> set[str]:
    """Collect every parameter named in arguments and expressions, or known by its name."""
    used = {name for sql in contract.expressions.values() for name in words_of(sql)[1]}
    for rule in contract.rules:
        used |= argument_parameters(rule)
    if contract.allow_empty == "never":
        used |= {EMPTY_DAYS} & {item.name for item in contract.parameters}
    return used
