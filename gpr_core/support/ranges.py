"""Integers of many ranges at once.

Letters: M ranges, C flat integers.
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def expand_ranges(first_M: Ints, end_M: Ints) -> tuple[Ints, Ints]:
    """List the integers of half-open ranges.

    Args:
        first_M: [M] int64.
        end_M: [M] int64, >= first.

    Returns:
        (range [C] int64 ascending, integer [C] int64 ascending inside a range).

    Example:
        >>> owner, value = expand_ranges(np.array([5, 0]), np.array([7, 1]))
        >>> owner.tolist(), value.tolist()
        ([0, 0, 1], [5, 6, 0])
    """
    length_M = end_M - first_M
    owner_C = np.repeat(np.arange(length_M.size), length_M)
    before_M = np.cumsum(length_M) - length_M
    return owner_C, np.arange(owner_C.size) + (first_M - before_M)[owner_C]
