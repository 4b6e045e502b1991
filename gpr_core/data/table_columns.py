"""Builds lake tables from numpy columns. M = rows, N = columns of a matrix, D = vector length."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.data.tables import TABLES


def make_table(name: str, columns: Mapping[str, object]) -> pa.Table:
    """Build a table in the schema of the lake.

    Args:
        name: Table name.
        columns: Column name -> numpy or Arrow array; a plain value is repeated in every row, None
            is a column of nulls. At least one is an array.

    Returns:
        The table, columns cast to the schema.

    Example:
        >>> columns = {"user_key": np.array([7], dtype=np.uint64), "day_ts": 0, "req_28d": 1,
        ...            "org_28d": 2, "activity_group": 3, "top_cats": [1, 2]}
        >>> make_table("user_stats_daily", columns).num_rows
        1
    """
    schema = TABLES[name].schema
    size = max(len(x) for x in columns.values() if isinstance(x, np.ndarray | pa.Array))
    arrays = []
    for field in schema:
        value = columns[field.name]
        if isinstance(value, np.ndarray):
            value = pa.array(value)
        elif not isinstance(value, pa.Array):
            value = pa.repeat(pa.scalar(value, field.type), size)
        arrays.append(value.cast(field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def vectors(matrix: npt.NDArray[np.float32]) -> pa.ListArray:
    """Turn the rows of a matrix into lists.

    Args:
        matrix: [M, D] float32.

    Returns:
        M lists of length D.
    """
    rows, width = matrix.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    return pa.ListArray.from_arrays(offsets, pa.array(matrix.reshape(-1)))


def ragged(keep: npt.NDArray[np.bool_], values: npt.NDArray[np.int16]) -> pa.ListArray:
    """Turn the kept entries of each row into lists.

    Args:
        keep: [M, N] bool.
        values: [M, N] int16.

    Returns:
        M lists in the order of the columns.

    Example:
        >>> ragged(np.array([[True, False]]), np.array([[4, 5]], dtype=np.int16)).to_pylist()
        [[4]]
    """
    offsets = np.r_[0, np.cumsum(keep.sum(axis=1))].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values[keep]))
