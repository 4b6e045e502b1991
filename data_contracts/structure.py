"""The cheap checks that come first: columns, types, rows, nulls, NaN, key range, unique key."""

import math
from collections.abc import Callable, Mapping
from datetime import date

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.finding import Finding, failed_rows, failed_table, passed
from data_contracts.model import Contract, Property, Rule
from gpr_core.support.errors import suggest_name

_KEY_LIMIT = np.uint64(1) << np.uint64(63)
_SHOWN_DAYS = 5

_SCALARS = {
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "uint32": pa.uint32(),
    "uint64": pa.uint64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
}


def arrow_type(physical_type: str) -> pa.DataType:
    """Translate a physical type of a contract.

    Args:
        physical_type: For example `uint64` or `list<int16>`.

    Returns:
        The Arrow type.

    Example:
        >>> arrow_type("list<int16>") == pa.list_(pa.int16())
        True
    """
    if physical_type.startswith("list<"):
        return pa.list_(_SCALARS[physical_type[5:-1]])
    return _SCALARS[physical_type]


def contract_schema(contract: Contract) -> pa.Schema:
    """Build the Arrow schema a contract describes.

    Args:
        contract: The contract.

    Returns:
        Fields in order; required columns are not nullable.
    """
    return pa.schema(
        [
            pa.field(item.name, arrow_type(item.physical_type), nullable=not item.is_required)
            for item in contract.properties
        ]
    )


def check_shape_of_table(
    contract: Contract,
    table: pa.Table,
    *,
    is_partition: bool,
    landed: Mapping[date, int] | None = None,
    empty_days_high: float = 0.0,
) -> list[Finding]:
    """Check what needs no look at the values: columns, types, number of rows.

    Args:
        contract: The contract.
        table: The table.
        is_partition: Whether it is one daily partition rather than a whole window.
        landed: Landed day -> rows of its partition, where the partitions are known.
        empty_days_high: Most landed days without rows, if the contract does not allow any number.

    Returns:
        One finding per rule; if one failed, the values cannot be checked.
    """
    rules = {rule.id[3:]: rule for rule in contract.rules if not rule.expectation}
    findings = [_check_columns(contract, rules["COLUMNS"], table)]
    if findings[0].status == "failed":
        return findings
    findings.append(_check_types(contract, rules["TYPES"], table))
    if "ROWS" in rules:
        most = math.inf if contract.allow_empty == "partition" else empty_days_high
        may_be_empty = is_partition and most > 0
        findings.append(
            _check_rows(
                rules["ROWS"], table, landed or {}, may_be_empty=may_be_empty, empty_days_high=most
            )
        )
    return findings


def check_values(contract: Contract, table: pa.Table) -> list[Finding]:
    """Check nulls, NaN, key range and unique key.

    Args:
        contract: The contract.
        table: A table with the right columns and types.

    Returns:
        One finding per structural rule about rows.
    """
    rules = {rule.id[3:]: rule for rule in contract.rules if not rule.expectation}
    findings = []
    present = [item for item in contract.properties if item.name in table.column_names]
    checks: tuple[tuple[str, Callable[[Property, pa.ChunkedArray], npt.NDArray[np.bool_]]], ...] = (
        ("NULLS", _null_mask),
        ("FINITE", _not_finite_mask),
        ("KEYS", _bad_key_mask),
    )
    for word, mask_of in checks:
        if word in rules:
            findings.append(_check_masks(rules[word], present, table, mask_of))
    if "UNIQUE" in rules:
        nulls = next((item.rows for item in findings if item.rule.id.endswith("-NULLS")), None)
        findings.append(_check_unique(contract, rules["UNIQUE"], table, nulls))
    return findings


def _check_columns(contract: Contract, rule: Rule, table: pa.Table) -> Finding:
    """Compare column names."""
    names = [item.name for item in contract.properties]
    needed = [item.name for item in contract.properties if not item.may_be_absent]
    missing = [name for name in needed if name not in table.column_names]
    unknown = [name for name in table.column_names if name not in names]
    repeated = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if contract.open_columns:
        unknown = [name for name in unknown if not _is_number(table.schema.field(name).type)]
    problems = [f"missing column {name!r}" for name in missing]
    problems += [f"unknown column {name!r} ({suggest_name(name, names)})" for name in unknown]
    problems += [f"column {name!r} appears more than once" for name in repeated]
    if problems:
        return failed_table(rule, "; ".join(problems), table.num_rows)
    return passed(rule, max(table.num_rows, 1))


def _check_types(contract: Contract, rule: Rule, table: pa.Table) -> Finding:
    """Compare column types."""
    problems = []
    for item in contract.properties:
        if item.name not in table.column_names:
            continue
        have, want = table.schema.field(item.name).type, arrow_type(item.physical_type)
        if not _is_same_type(have, want):
            problems.append(
                f"column {item.name!r} has type {have}, the contract says {item.physical_type}"
            )
    if problems:
        return failed_table(rule, "; ".join(problems), table.num_rows)
    return passed(rule, max(table.num_rows, 1))


def _check_rows(
    rule: Rule,
    table: pa.Table,
    landed: Mapping[date, int],
    *,
    may_be_empty: bool,
    empty_days_high: float,
) -> Finding:
    """Refuse an empty table, and too many landed days without rows."""
    if table.num_rows == 0 and not may_be_empty:
        return failed_table(
            rule, "the table is empty: zero rows were checked, which is no pass", 0, observed=0.0
        )
    empty = [day.isoformat() for day, rows in landed.items() if rows == 0]
    if len(empty) > empty_days_high:
        shown = ", ".join(empty[:_SHOWN_DAYS]) + (", ..." if len(empty) > _SHOWN_DAYS else "")
        text = (
            f"no row landed on {shown} (empty days: {len(empty)} of {len(landed)}, "
            f"at most {empty_days_high:g} may be)"
        )
        return failed_table(rule, text, table.num_rows, observed=0.0)
    return passed(rule, table.num_rows, observed=float(table.num_rows))


def _is_number(kind: pa.DataType) -> bool:
    """Say whether an open column may have this type: numbers and flags, neither text nor lists."""
    return bool(
        pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    )


def _is_same_type(have: pa.DataType, want: pa.DataType) -> bool:
    """Compare types; the 64-bit offset forms of text and lists hold the same values."""
    if pa.types.is_large_string(have):
        have = pa.string()
    if pa.types.is_list(want):
        is_list = (
            pa.types.is_list(have)
            or pa.types.is_large_list(have)
            or pa.types.is_fixed_size_list(have)
        )
        return is_list and _is_same_type(have.value_type, want.value_type)
    return bool(have == want)


def _check_masks(
    rule: Rule,
    properties: list[Property],
    table: pa.Table,
    mask_of: Callable[[Property, pa.ChunkedArray], npt.NDArray[np.bool_]],
) -> Finding:
    """Join the failing rows of all columns under one rule, naming the columns."""
    bad = np.zeros(table.num_rows, dtype=bool)
    names = []
    for item in properties:
        rows = mask_of(item, table[item.name])
        if rows.size and rows.any():
            names.append(item.name)
            bad |= rows
    if not names:
        return passed(rule, table.num_rows)
    positions = np.flatnonzero(bad)
    first = table.take(pa.array(positions[:10]))
    finding = failed_rows(
        rule,
        positions,
        checked=table.num_rows,
        total=table.num_rows,
        shown={name: first[name].to_pylist() for name in names},
    )
    message = f"{finding.message} ({', '.join(names)})"
    return Finding(rule, "failed", message, finding.checked, positions, None, finding.shown)


def _null_mask(item: Property, column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Mark nulls of a required column, also inside lists."""
    if not item.is_required:
        return np.zeros(0, dtype=bool)
    bad = np.zeros(0, dtype=bool)
    if column.null_count:
        bad = pc.is_null(column).to_numpy(zero_copy_only=False)
    if item.physical_type.startswith("list<"):
        flat = pc.list_flatten(column)
        if flat.null_count:
            inner = _rows_of_elements(column, pc.is_null(flat))
            bad = inner | bad if bad.size else inner
    return bad


def _not_finite_mask(item: Property, column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Mark NaN and infinity, also inside lists."""
    if "float" not in item.physical_type:
        return np.zeros(0, dtype=bool)
    is_list = item.physical_type.startswith("list<")
    flat = pc.list_flatten(column) if is_list else column
    finite = pc.fill_null(pc.is_finite(flat), fill_value=True)
    if pc.all(finite, min_count=0).as_py():
        return np.zeros(0, dtype=bool)
    not_finite = pc.invert(finite)
    if is_list:
        return _rows_of_elements(column, not_finite)
    return np.asarray(not_finite.to_numpy(zero_copy_only=False))


def _rows_of_elements(column: pa.ChunkedArray, marked: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Mark the rows of a list column that hold a marked element."""
    parents = pc.list_parent_indices(column.combine_chunks()).to_numpy(zero_copy_only=False)
    bad = np.zeros(len(column), dtype=bool)
    bad[parents[marked.to_numpy(zero_copy_only=False).astype(bool)]] = True
    return bad


def _bad_key_mask(item: Property, column: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    """Mark keys outside [1, 2**63), or [0, 2**63) where 0 means none."""
    if not item.is_key_column:
        return np.zeros(0, dtype=bool)
    values = pc.fill_null(column, fill_value=1).to_numpy()
    bad = values >= _KEY_LIMIT
    if not item.zero_means_none:
        bad |= values == 0
    return np.asarray(bad)


def _check_unique(
    contract: Contract, rule: Rule, table: pa.Table, nulls: npt.NDArray[np.int64] | None
) -> Finding:
    """Find repeats of the primary key; the first row of a key is kept."""
    keep = np.ones(table.num_rows, dtype=bool)
    if nulls is not None:
        # A null would turn integer keys into floats, whose lost digits make false repeats.
        keep[nulls] = False
    rows = np.flatnonzero(keep)
    key = [name for name in contract.key if name in table.column_names]
    columns = table.select(key)
    frame = (columns if keep.all() else columns.take(pa.array(rows))).to_pandas()
    positions = rows[frame.duplicated(keep="first").to_numpy()]
    if not positions.size:
        return passed(rule, table.num_rows)
    first = columns.take(pa.array(positions[:10]))
    return failed_rows(
        rule,
        positions,
        checked=table.num_rows,
        total=table.num_rows,
        shown={name: first[name].to_pylist() for name in key},
    )
