"""Read contracts from YAML into frozen dataclasses, refusing everything that is not understood.

Nothing heavy is imported: a step spec, a linter or a runner may look at a contract at no cost.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_contracts.expectations import EXPECTATIONS
from data_contracts.lineage import check_names
from data_contracts.model import (
    Contract,
    Derived,
    DriftRule,
    Measure,
    Parameter,
    Property,
    Reference,
    Rule,
)
from data_contracts.structural_rules import structural_rules
from gpr_core.support.config import read_yaml
from gpr_core.support.errors import ConfigError, suggest_name
from gpr_core.support.files import read_json
from gpr_core.support.hashing import hash_value

_FOLDER = Path(__file__).parent
_MIN_DAYS = 7
_WINDOW_DAYS = 28


def contract_names() -> tuple[str, ...]:
    """List all contracts.

    Returns:
        Names, sorted.
    """
    return tuple(sorted(path.stem for path in (_FOLDER / "tables").glob("*.yaml")))


def contract_path(name: str) -> Path:
    """Find the YAML file of a contract.

    Args:
        name: Contract name, for example `impressions`.

    Returns:
        Its path.

    Raises:
        ConfigError: If there is no such contract.
    """
    if name not in contract_names():
        raise ConfigError(
            f"unknown contract {name!r}",
            where=str(_FOLDER / "tables"),
            fix=suggest_name(name, contract_names()),
        )
    return _FOLDER / "tables" / f"{name}.yaml"


@functools.cache
def load_contract(name: str) -> Contract:
    """Load one of the project's contracts.

    Args:
        name: Contract name.

    Returns:
        The parsed contract; loading it again gives the same object.

    Raises:
        ConfigError: If the name is unknown or the file is not a valid contract.
    """
    contract = load_contract_file(contract_path(name))
    if contract.name != name:
        raise ConfigError(
            f"the contract calls itself {contract.name!r}",
            where=str(contract_path(name)),
            fix=f"set id: {name}",
        )
    return contract


def contract_hash(name: str) -> str:
    """Hash what a contract says, whatever its layout and comments.

    Args:
        name: Contract name.

    Returns:
        sha256 as 64 hex digits.
    """
    return hash_value(read_yaml(contract_path(name)))


def source_parameters(name: str, source: str) -> dict[str, float]:
    """Give the bounds that a lake source is known to need.

    Args:
        name: Contract name.
        source: What `Lake.source()` says, for example `movielens`.

    Returns:
        Parameter name -> value, to be passed as `parameters`; empty if the defaults hold.
    """
    items = load_contract(name).parameters
    return {item.name: item.sources[source] for item in items if source in item.sources}


def accepted_parameters(name: str, values: Mapping[str, float]) -> dict[str, float]:
    """Keep the values that a contract has a parameter for, for callers of many contracts.

    Args:
        name: Contract name.
        values: Anything a caller knows, for example `{"cutoff_ts": ...}`.

    Returns:
        The values to be passed as `parameters`.
    """
    known = {item.name for item in load_contract(name).parameters}
    return {key: float(value) for key, value in values.items() if key in known}


def load_contract_file(path: Path) -> Contract:
    """Load a contract from any file, for example an older version of it.

    Args:
        path: YAML file.

    Returns:
        The parsed contract.

    Raises:
        ConfigError: If the file is missing, is not YAML, or is not a valid contract.
    """
    return parse_contract(read_yaml(path), where=str(path))


def parse_contract(raw: object, *, where: str) -> Contract:
    """Turn parsed YAML into a contract.

    Args:
        raw: The parsed value.
        where: Place for error messages.

    Returns:
        The contract, structural rules included.

    Raises:
        ConfigError: If a word, an expectation, a column or a parameter is unknown, a rule id is
            used twice or does not begin with the prefix, or a value has the wrong type.
    """
    _check_schema(raw, where=where)
    values: dict[str, Any] = raw  # type: ignore[assignment]
    table = values["schema"][0]
    properties = tuple(_property(item) for item in table["properties"])
    partitions = [item["name"] for item in table["properties"] if item.get("partitioned")]
    contract = Contract(
        name=values["id"],
        version=values["version"],
        status=values["status"],
        owner=values["team"]["name"],
        purpose=values["description"]["purpose"],
        prefix=values["rule_prefix"],
        allow_empty=values["allow_empty"],
        max_quarantine_share=float(values["max_quarantine_share"]),
        open_columns=values.get("open_columns", False),
        partition_column=partitions[0] if partitions else "",
        properties=properties,
        references=tuple(_reference(item) for item in values.get("references", ())),
        derived=tuple(Derived(**item) for item in values.get("derived", ())),
        measures=tuple(_measure(item) for item in values.get("measures", ())),
        rules=(
            *structural_rules(values["rule_prefix"], values["allow_empty"], properties),
            *(_rule(item, where=where) for item in table["quality"]),
        ),
        drift=tuple(_drift(item) for item in values.get("drift", ())),
        parameters=tuple(_parameter(item) for item in values.get("parameters", ())),
    )
    _check_ids(contract, where=where)
    check_names(contract, where=where)
    return contract


def _check_schema(raw: object, *, where: str) -> None:
    """Validate against contract.schema.json, turning the first error into a ConfigError."""
    import jsonschema  # noqa: PLC0415 - only readers of YAML pay for it

    validator = jsonschema.Draft202012Validator(read_json(_FOLDER / "contract.schema.json"))
    errors = sorted(validator.iter_errors(raw), key=lambda error: list(map(str, error.path)))
    if not errors:
        return
    error = errors[0]
    place = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties" and "properties" in error.schema:
        known = list(error.schema["properties"])
        unknown = sorted(str(key) for key in error.instance if key not in known)[0]
        raise ConfigError(
            f"unknown key {unknown!r}", where=f"{where} {place}", fix=suggest_name(unknown, known)
        )
    raise ConfigError(
        error.message[:400], where=f"{where} {place}", fix="see data_contracts/contract.schema.json"
    )


def _check_ids(contract: Contract, *, where: str) -> None:
    """Refuse rule ids that repeat or belong to another contract."""
    seen: set[str] = set()
    for rule_id in contract.rule_ids:
        if rule_id in seen:
            raise ConfigError(
                f"rule id {rule_id} is used twice", where=where, fix="give each rule its own id"
            )
        if not rule_id.startswith(f"{contract.prefix}-"):
            raise ConfigError(
                f"rule id {rule_id} does not begin with the prefix {contract.prefix}-",
                where=where,
                fix=f"call it {contract.prefix}-{rule_id[3:]}",
            )
        seen.add(rule_id)


def _property(item: Mapping[str, Any]) -> Property:
    """Parse one column."""
    position = item.get("primaryKeyPosition", 1) if item.get("primaryKey") else None
    return Property(
        name=item["name"],
        logical_type=item["logicalType"],
        physical_type=item["physicalType"],
        description=item["description"],
        unit=item.get("unit", ""),
        is_required=item["required"],
        key_position=position,
        may_be_absent=item.get("may_be_absent", False),
        zero_means_none=item.get("zero_means_none", False),
    )


def _reference(item: Mapping[str, Any]) -> Reference:
    """Parse one join."""
    as_of = item.get("as_of")
    return Reference(
        table=item["table"],
        keys=dict(item["keys"]),
        as_of=(as_of["at"], as_of["from"]) if as_of else None,
        columns=dict(item["columns"]),
    )


def _measure(item: Mapping[str, Any]) -> Measure:
    """Parse one number of the whole table."""
    return Measure(name=item["name"], sql=item["sql"], tables=tuple(item.get("tables", ())))


def _parameter(item: Mapping[str, Any]) -> Parameter:
    """Parse one bound."""
    value = item["value"]
    sources = {source: float(bound) for source, bound in item.get("sources", {}).items()}
    return Parameter(
        name=item["name"],
        value=None if value is None else float(value),
        reason=item["reason"],
        sources=sources,
    )


def _rule(item: Mapping[str, Any], *, where: str) -> Rule:
    """Parse one rule and check its expectation and arguments."""
    place = f"{where} rule {item['id']}"
    name, arguments = item["expectation"], item["arguments"]
    if name not in EXPECTATIONS:
        raise ConfigError(
            f"unknown expectation {name!r}", where=place, fix=suggest_name(name, EXPECTATIONS)
        )
    form = EXPECTATIONS[name]
    known = (*form.required, *form.optional)
    for argument in arguments:
        if argument not in known:
            raise ConfigError(
                f"{name} has no argument {argument!r}",
                where=place,
                fix=suggest_name(argument, known),
            )
    for argument in form.required:
        if argument not in arguments:
            raise ConfigError(
                f"{name} needs the argument {argument!r}", where=place, fix=f"add {argument}: ..."
            )
    if item["on_fail"] == "quarantine" and not form.is_row:
        raise ConfigError(
            f"{name} judges a whole column and cannot quarantine rows",
            where=place,
            fix="set on_fail: block or report",
        )
    if (item["severity"] == "critical") == (item["on_fail"] == "report"):
        raise ConfigError(
            f"severity {item['severity']} does not go with on_fail {item['on_fail']}",
            where=place,
            fix="critical rules block or quarantine; warning and info rules report",
        )
    return Rule(**item)


def _drift(item: Mapping[str, Any]) -> DriftRule:
    """Parse one rule about days."""
    defaults = {"min_days": _MIN_DAYS, "window_days": _WINDOW_DAYS}
    return DriftRule(**{**defaults, **item, "edges": tuple(item.get("edges", ()))})
