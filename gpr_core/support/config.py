"""Strict conversion of parsed YAML into frozen dataclasses.

Supported field types: int, float, str, bool, Literal[...], X | None, tuple[X, ...] and nested
dataclasses. Anything unknown or of another type is a ConfigError that names the place and,
for a misspelled key, the nearest known one.
"""

import dataclasses
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from gpr_core.support.errors import ConfigError, suggest_name

C = TypeVar("C")


def load_section(cls: type[C], values: object, *, where: str) -> C:
    """Build one configuration dataclass from a mapping.

    Args:
        cls: A dataclass type; fields without a default are required.
        values: The parsed mapping, `None` meaning an empty one.
        where: Place for error messages, for example `params.yaml tokenization`.

    Returns:
        An instance of `cls`; its own `__post_init__` has checked the ranges.

    Raises:
        ConfigError: If a key is unknown or missing, or a value has the wrong type or range.
    """
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise ConfigError(
            f"found {type(values).__name__}, expected a mapping",
            where=where,
            fix="write key: value",
        )
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = get_type_hints(cls)
    for key in values:
        if key not in fields:
            raise ConfigError(
                f"unknown parameter {key!r}", where=where, fix=suggest_name(str(key), fields)
            )
    arguments = {}
    for name, field in fields.items():
        if name in values:
            value = _over_default(values[name], field)
            arguments[name] = _convert(value, hints[name], where=f"{where}.{name}")
        elif _is_required(field):
            raise ConfigError(
                f"missing parameter {name!r}", where=where, fix=f"add {name}: <value>"
            )
    try:
        return cls(**arguments)
    except ConfigError as error:
        raise ConfigError(error.what, where=error.where or where, fix=error.fix) from error


def to_mapping(config: object) -> dict[str, Any]:
    """Turn a configuration dataclass into plain YAML values (tuples become lists).

    Args:
        config: A dataclass instance made by `load_section`.

    Returns:
        A mapping that `load_section` turns back into an equal instance.
    """
    return {
        field.name: _plain(getattr(config, field.name))
        for field in dataclasses.fields(config)  # type: ignore[arg-type]
    }


def read_yaml(path: Path) -> Any:
    """Read one YAML file.

    Args:
        path: The file.

    Returns:
        The parsed value.

    Raises:
        ConfigError: If the file is missing or is not YAML.
    """
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(
            "file not found",
            where=str(path),
            fix="check the path, or make the file with `gpr params show --preset tiny`",
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(f"not valid YAML: {error}", where=str(path)) from error


def _over_default(value: object, field: "dataclasses.Field[Any]") -> object:
    """Lay a partial mapping over the default of its field, which may differ from the class's."""
    if not isinstance(value, Mapping) or field.default_factory is dataclasses.MISSING:
        return value
    return _merge(to_mapping(field.default_factory()), value)


def _merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings; an unknown key stays, to be refused where it is converted."""
    merged = {**base, **changes}
    for name, value in changes.items():
        if isinstance(value, Mapping) and isinstance(base.get(name), Mapping):
            merged[name] = _merge(base[name], value)
    return merged


def _is_required(field: "dataclasses.Field[Any]") -> bool:
    """Say whether a dataclass field has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _plain(value: object) -> Any:
    """Turn one configuration value into plain YAML."""
    if dataclasses.is_dataclass(value):
        return to_mapping(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _convert(value: object, hint: Any, *, where: str) -> Any:
    """Convert one parsed value to the annotated type, or raise."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(value, get_args(hint), where=where)
    if origin is Literal:
        return _convert_literal(value, get_args(hint), where=where)
    if origin is tuple:
        return _convert_tuple(value, get_args(hint), where=where)
    if dataclasses.is_dataclass(hint):
        return load_section(hint, value, where=where)  # type: ignore[arg-type]
    return _convert_scalar(value, hint, where=where)


def _convert_union(value: object, options: tuple[Any, ...], *, where: str) -> Any:
    """Convert to the only non-None member, or keep None."""
    if value is None and type(None) in options:
        return None
    [inner] = [option for option in options if option is not type(None)]
    return _convert(value, inner, where=where)


def _convert_literal(value: object, options: tuple[Any, ...], *, where: str) -> Any:
    """Accept only one of the listed values."""
    if value in options:
        return value
    known = [str(option) for option in options]
    raise ConfigError(
        f"found {value!r}, expected one of: {', '.join(known)}",
        where=where,
        fix=suggest_name(str(value), known),
    )


def _convert_tuple(value: object, arguments: tuple[Any, ...], *, where: str) -> tuple[Any, ...]:
    """Convert a list of one element type."""
    if not isinstance(value, list | tuple):
        raise ConfigError(f"found {value!r}, expected a list", where=where, fix="write [a, b]")
    return tuple(
        _convert(item, arguments[0], where=f"{where}[{idx}]") for idx, item in enumerate(value)
    )


def _convert_scalar(value: object, hint: Any, *, where: str) -> Any:
    """Convert int, float, str or bool; an int is accepted where a float is asked for."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number:
        return float(value)  # type: ignore[arg-type]
    if type(value) is hint:
        return value
    raise ConfigError(
        f"found {value!r} ({type(value).__name__}), expected {hint.__name__}",
        where=where,
        fix=f"write a {hint.__name__}",
    )
