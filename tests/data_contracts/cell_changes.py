"""Small changes to tables."""

from typing import Any

import pyarrow as pa


def with_cells(table, changes):
    """Change cells: row -> column -> value."""
    by_column: dict[str, dict[int, Any]] = {}
    for row, cells in changes.items():
        for name, value in cells.items():
            by_column.setdefault(name, {})[row] = value
    for name, cells in by_column.items():
        values = table[name].to_pylist()
        for row, value in cells.items():
            values[row] = value
        table = with_column(table, name, values)
    return table


def with_column(table, name, values):
    """Replace a column; one value fills it."""
    values = values if isinstance(values, list) else [values] * table.num_rows
    field = table.schema.field(name)
    return table.set_column(table.column_names.index(name), field, pa.array(values, field.type))


def in_each_row(prefix, start, *cells):
    """Break one cell per rule, in the order of rules and rows."""
    return {
        f"{prefix}-{idx + 1:03d}": (start + idx, {start + idx: {name: value}})
        for idx, (name, value) in enumerate(cells)
    }
