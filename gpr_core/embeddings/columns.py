"""Which column of a raw item table plays which part.

Some columns are known by name. The others are declared in a small YAML file, or told by their type.
"""

import logging
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from gpr_core.support.config import load_section, read_yaml, to_mapping
from gpr_core.support.errors import ConfigError, ContractError, suggest_name

TEXT_COLUMNS = ("title", "description", "brand", "category")
KEY_COLUMNS = ("item_kind", "item_key", "item_id")

_LOGGER = logging.getLogger("gpr.embeddings")
_TEXT_VECTOR_PREFIX = "text"
# A text that hardly ever repeats is a name or an address, not a category.
_MOST_DISTINCT_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnRoles:
    """Columns beside the ones that are known by name."""

    numeric: tuple[str, ...] = ()
    """Numbers in which order means something: prices, ratings, durations."""
    categorical: tuple[str, ...] = ()
    """Values that are equal or not: color, material, advertiser."""
    text_vectors: tuple[str, ...] = ()
    """Precomputed vectors of texts, one length a column."""
    image_vectors: tuple[str, ...] = ()
    """Precomputed vectors of pictures, one length a column."""

    def __post_init__(self) -> None:
        names = self.names
        known = {name for name in names if name in (*TEXT_COLUMNS, *KEY_COLUMNS)}
        repeated = {name for name in names if names.count(name) > 1}
        if known or repeated:
            raise ConfigError(
                f"columns {sorted(known | repeated)} have a part already, expected one part each",
                fix="remove them from the list",
            )

    @property
    def names(self) -> tuple[str, ...]:
        """All columns, in the order of the parts."""
        return tuple(chain.from_iterable(to_mapping(self).values()))


def load_roles(path: Path) -> ColumnRoles:
    """Read a declaration: keys numeric, categorical, text_vectors, image_vectors with lists.

    Args:
        path: YAML file.

    Returns:
        The parts.

    Raises:
        ConfigError: If the file is missing, a key is unknown or a column is named twice.
    """
    return load_section(ColumnRoles, read_yaml(path), where=str(path))


def roles_by_type(table: pa.Table) -> ColumnRoles:
    """Tell the parts of columns by their type; what is left out is logged.

    Numbers are numeric, booleans and repeating texts categorical, lists of floats vectors: of
    texts if the name begins with `text`, else of pictures.

    Args:
        table: Raw items.

    Returns:
        The parts.
    """
    found: dict[str, list[str]] = {name: [] for name in to_mapping(ColumnRoles())}
    left_out: list[str] = []
    for name in table.column_names:
        if name in (*TEXT_COLUMNS, *KEY_COLUMNS):
            continue
        part = _part_by_type(table[name], name)
        (left_out if part is None else found[part]).append(name)
    _LOGGER.info("columns by type: %s; left out: %s", found, left_out)
    return ColumnRoles(**{part: tuple(names) for part, names in found.items()})


def check_roles(table: pa.Table, roles: ColumnRoles, *, where: str) -> None:
    """Check that the columns are there and of a type that can play their part.

    Args:
        table: Raw items.
        roles: Their parts.
        where: File, for messages.

    Raises:
        ContractError: If a column is missing or of another type.
    """
    for part, names in to_mapping(roles).items():
        for name in names:
            if name not in table.column_names:
                raise ContractError(
                    f"column {name!r} is missing, expected as one of {part}",
                    where=where,
                    fix=suggest_name(name, table.column_names),
                )
            dtype = table.schema.field(name).type
            if not _can_be(dtype, part):
                raise ContractError(
                    f"column {name!r} has type {dtype}, which cannot be one of {part}",
                    where=where,
                    fix="declare another part for it with --columns FILE.yaml, or leave it out",
                )


def is_text(dtype: pa.DataType) -> bool:
    """Say whether a type holds texts.

    Args:
        dtype: Arrow type.

    Returns:
        True for strings, large or not.
    """
    return bool(
        pa.types.is_string(dtype) or pa.types.is_large_string(dtype) or pa.types.is_null(dtype)
    )


def is_list(dtype: pa.DataType) -> bool:
    """Say whether a type holds lists.

    Args:
        dtype: Arrow type.

    Returns:
        True for lists of any length type.
    """
    return bool(
        pa.types.is_list(dtype)
        or pa.types.is_large_list(dtype)
        or pa.types.is_fixed_size_list(dtype)
    )


def _part_by_type(column: pa.ChunkedArray, name: str) -> str | None:
    """Tell the part of one column; None leaves it out."""
    dtype = column.type
    if pa.types.is_null(dtype):
        return None
    if is_list(dtype):
        # A list of integers may be tokens or tags: only a declaration makes it a vector.
        if not pa.types.is_floating(dtype.value_type):
            return None
        return "text_vectors" if name.startswith(_TEXT_VECTOR_PREFIX) else "image_vectors"
    if _can_be(dtype, "numeric"):
        return "numeric"
    if pa.types.is_boolean(dtype):
        return "categorical"
    repeats = is_text(dtype) and (
        pc.count_distinct(column).as_py() <= _MOST_DISTINCT_SHARE * len(column)
    )
    return "categorical" if repeats else None


def _can_be(dtype: pa.DataType, part: str) -> bool:
    """Say whether a type can play a part; a column without a value can play any."""
    if pa.types.is_null(dtype):
        return True
    if part == "numeric":
        return _is_number(dtype)
    if part == "categorical":
        return bool(is_text(dtype) or pa.types.is_boolean(dtype) or pa.types.is_integer(dtype))
    return is_list(dtype) and (_is_number(dtype.value_type) or pa.types.is_null(dtype.value_type))


def _is_number(dtype: pa.DataType) -> bool:
    """Say whether a type holds numbers."""
    return bool(pa.types.is_integer(dtype) or pa.types.is_floating(dtype))
