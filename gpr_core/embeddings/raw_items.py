"""Raw items, read from a file and checked.

N = items, W = length of one vector column.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json as pj
import pyarrow.parquet as pq

from gpr_core.data.tables import ItemKind
from gpr_core.embeddings.columns import (
    KEY_COLUMNS,
    TEXT_COLUMNS,
    ColumnRoles,
    check_roles,
    is_list,
    is_text,
)
from gpr_core.support.errors import ArtifactError, ContractError, suggest_name

Floats = npt.NDArray[np.float32]

_LONGEST_LINE_BYTES = 1 << 26
_KIND_BY_NAME = {"ad": ItemKind.AD, "content": ItemKind.CONTENT}
_CATEGORY_MARKS = ("|", ">")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RawItems:
    """Ads and content as their owners describe them.

    Attributes:
        kind_N: [N] int8 `ItemKind`; NONE if the file does not tell.
        ids: [N] key or id of each item as text, unique within its kind.
        titles: [N] texts, empty where unknown; likewise descriptions and brands.
        descriptions: See `titles`.
        brands: See `titles`.
        categories: [N] category paths, widest category first.
        numeric: Column -> [N] float64, NaN where missing.
        categorical: Column -> [N] texts, None where missing.
        vectors: Column -> [N, W] float32, a row of zeros where missing; W is 0 if all are.
    """

    kind_N: npt.NDArray[np.int8]
    ids: Sequence[str]
    titles: Sequence[str]
    descriptions: Sequence[str]
    brands: Sequence[str]
    categories: Sequence[tuple[str, ...]]
    numeric: Mapping[str, npt.NDArray[np.float64]]
    categorical: Mapping[str, Sequence[str | None]]
    vectors: Mapping[str, Floats]

    def __len__(self) -> int:
        return len(self.ids)


def read_raw_table(path: Path) -> pa.Table:
    """Read a file of raw items.

    Args:
        path: `.parquet`, or JSON lines: `.jsonl` or `.jsonl.gz`.

    Returns:
        The table as it stands in the file.

    Raises:
        ArtifactError: If the file is missing, of another kind or not readable.
        ContractError: If it holds no items.
    """
    if not path.is_file():
        raise ArtifactError("file not found", where=str(path), fix="check the path")
    try:
        if path.name.endswith(".parquet"):
            table = pq.ParquetFile(path).read()
        elif path.name.endswith((".jsonl", ".jsonl.gz")):
            table = _read_json_lines(path)
        else:
            raise ArtifactError(
                f"cannot tell what a file named {path.name!r} holds",
                where=str(path),
                fix="give a .parquet, .jsonl or .jsonl.gz file",
            )
    except (pa.ArrowInvalid, OSError) as error:
        raise ArtifactError(
            f"the file cannot be read: {error}",
            where=str(path),
            fix="write it again: Parquet, or one JSON object a line with one type a column",
        ) from error
    if table.num_rows == 0:
        raise ContractError(
            "the file holds no items, expected at least two",
            where=str(path),
            fix="check the export that wrote it",
        )
    return table


def items_of_table(table: pa.Table, roles: ColumnRoles, *, where: str) -> RawItems:
    """Take the columns of raw items out of a table.

    Args:
        table: Table with a title and one of item_key and item_id.
        roles: Columns beside those known by name.
        where: File, for messages.

    Returns:
        The items, in the order of the table.

    Raises:
        ContractError: If a column is missing or of another type, a key is missing or stands
            twice, or the vectors of a column differ in length.
    """
    _check_known_columns(table, where)
    check_roles(table, roles, where=where)
    kind_N = _kinds(table, where)
    ids = _ids(table, where)
    _check_unique(kind_N, ids, where)
    titles, descriptions, brands = (_texts(table, name) for name in TEXT_COLUMNS[:3])
    return RawItems(
        kind_N=kind_N,
        ids=ids,
        titles=titles,
        descriptions=descriptions,
        brands=brands,
        categories=_category_paths(table),
        numeric={name: _numbers(table[name]) for name in roles.numeric},
        categorical={name: _values(table[name]) for name in roles.categorical},
        vectors={
            name: _vectors(table[name], f"{where} column {name}")
            for name in (*roles.text_vectors, *roles.image_vectors)
        },
    )


def _read_json_lines(path: Path) -> pa.Table:
    """Read JSON lines; keys are unsigned, which Arrow would not guess."""
    options = pj.ReadOptions(block_size=_LONGEST_LINE_BYTES)
    keys = pa.schema([pa.field("item_key", pa.uint64())])
    with pa.input_stream(path, compression="detect") as stream:
        table = pj.read_json(stream, options, pj.ParseOptions(explicit_schema=keys))
    # An explicit column that no line has comes out as a column of nulls.
    missing = table["item_key"].null_count == table.num_rows
    return table.drop_columns("item_key") if missing else table


def _check_known_columns(table: pa.Table, where: str) -> None:
    """Refuse a table without a title or a key, or with a text column of another type."""
    names = table.column_names
    if "title" not in names:
        raise ContractError(
            "column 'title' is missing", where=where, fix=suggest_name("title", names)
        )
    if not {"item_key", "item_id"} & set(names):
        raise ContractError(
            "both columns 'item_key' and 'item_id' are missing, expected one of them",
            where=where,
            fix=suggest_name("item_id", names),
        )
    for name in (*TEXT_COLUMNS, *KEY_COLUMNS):
        if name in names and not _is_known_type(name, table.schema.field(name).type):
            raise ContractError(
                f"column {name!r} has type {table.schema.field(name).type}",
                where=where,
                fix="texts and item_id are strings, category may be a list of strings, "
                "item_id and item_kind may be integers, item_key is one",
            )


def _is_known_type(name: str, dtype: pa.DataType) -> bool:
    """Say whether a column that is known by name has a type that can be read."""
    if name in KEY_COLUMNS and pa.types.is_integer(dtype):
        return True
    if name == "item_key":
        return False
    if name == "category" and is_list(dtype):
        return is_text(dtype.value_type)
    return is_text(dtype)


def _kinds(table: pa.Table, where: str) -> npt.NDArray[np.int8]:
    """Read the kinds, as numbers or as words."""
    if "item_kind" not in table.column_names:
        return np.full(table.num_rows, ItemKind.NONE, dtype=np.int8)
    values = table["item_kind"].to_pylist()
    kinds = [_KIND_BY_NAME.get(value, value) for value in values]
    for row, kind in enumerate(kinds):
        if kind not in (ItemKind.AD, ItemKind.CONTENT):
            raise ContractError(
                f"item_kind is {values[row]!r}, expected ad (1) or content (2)",
                where=f"{where} row {row}",
                fix="write ad or content in every row, or leave the column out",
            )
    return np.array(kinds, dtype=np.int8)


def _ids(table: pa.Table, where: str) -> list[str]:
    """Read the keys as texts; item_key goes before item_id."""
    name = "item_key" if "item_key" in table.column_names else "item_id"
    values = table[name].to_pylist()
    for row, value in enumerate(values):
        if value is None or value == "":
            raise ContractError(
                f"{name} is missing", where=f"{where} row {row}", fix="give every item a key"
            )
    return [str(value) for value in values]


def _check_unique(kind_N: npt.NDArray[np.int8], ids: list[str], where: str) -> None:
    """Refuse two items of one kind and key."""
    counts = Counter(zip(kind_N.tolist(), ids, strict=True))
    repeated = [key for key, count in counts.items() if count > 1]
    if repeated:
        kind, first = repeated[0]
        rows = np.flatnonzero((kind_N == kind) & (np.array(ids) == first))[:3].tolist()
        raise ContractError(
            f"{len(repeated)} keys stand twice or more, first {first!r}, expected one row an item",
            where=f"{where} rows {rows}",
            fix="keep the latest row of each item",
        )


def _texts(table: pa.Table, name: str) -> list[str]:
    """Read a text column; missing texts and a missing column are empty."""
    if name not in table.column_names:
        return [""] * table.num_rows
    return [value or "" for value in table[name].to_pylist()]


def _category_paths(table: pa.Table) -> list[tuple[str, ...]]:
    """Read category paths: lists, or texts cut at `>` or `|`."""
    if "category" not in table.column_names:
        return [()] * table.num_rows
    return [_path(value) for value in table["category"].to_pylist()]


def _path(value: str | list[str | None] | None) -> tuple[str, ...]:
    """Split one category path."""
    if isinstance(value, str):
        for mark in _CATEGORY_MARKS:
            value = value.replace(mark, "\0")
        value = list(value.split("\0"))
    return tuple(name.strip() for name in value or () if name and name.strip())


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """Read numbers; what is missing or not finite is NaN."""
    value_N = np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)
    return np.where(np.isfinite(value_N), value_N, np.nan)


def _values(column: pa.ChunkedArray) -> list[str | None]:
    """Read values as texts; an empty text is missing."""
    return [None if value is None or value == "" else str(value) for value in column.to_pylist()]


def _vectors(column: pa.ChunkedArray, where: str) -> Floats:
    """Read vectors of one length; missing ones are rows of zeros."""
    rows = column.to_pylist()
    lengths = sorted({len(row) for row in rows if row})
    if len(lengths) > 1:
        raise ContractError(
            f"vectors have {lengths[0]} to {lengths[-1]} numbers, expected one length",
            where=where,
            fix="encode all items with one model",
        )
    width = lengths[0] if lengths else 0
    vector_NW = np.array([row or [0.0] * width for row in rows], dtype=np.float32)
    vector_NW = vector_NW.reshape(len(rows), width)
    bad_N = ~np.isfinite(vector_NW).all(axis=1)
    if bad_N.any():
        raise ContractError(
            f"{int(bad_N.sum())} vectors hold a value that is not finite",
            where=f"{where} row {int(np.flatnonzero(bad_N)[0])}",
            fix="encode these items again, or leave their vectors empty",
        )
    return vector_NW
