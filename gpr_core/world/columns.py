"""Rows of tables held as NamedTuples of equally long arrays."""

from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

Rows = TypeVar("Rows", bound=NamedTuple)


def take(rows: Rows, chosen: npt.NDArray[np.generic]) -> Rows:
    """Choose rows.

    Args:
        rows: Columns of one length.
        chosen: Mask or positions.

    Returns:
        The chosen rows, in that order.
    """
    return rows._make(column[chosen] for column in _columns(rows))


def join(first: Rows, second: Rows) -> Rows:
    """Append rows.

    Args:
        first: Columns of one length.
        second: The same columns.

    Returns:
        All rows of the first, then of the second.
    """
    pairs = zip(_columns(first), _columns(second), strict=True)
    return first._make(np.concatenate(pair) for pair in pairs)


def _columns(rows: NamedTuple) -> tuple[Any, ...]:
    """List the columns."""
    return tuple(rows)
