"""Positions inside groups, the building block of every cut of a beam.

Letters: C flat rows, D rows kept, G groups.
"""

import numpy as np
import numpy.typing as npt

from gpr_core.support.compiled import compiled

Ints = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64] | npt.NDArray[np.float32] | Ints


def rank_in_group(group_C: Ints, *keys_C: Numbers) -> Ints:
    """Rank rows inside their group by several keys, best first.

    Args:
        group_C: [C] int64, group of each row.
        *keys_C: [C] numbers, the most important first, larger is better; the remaining ties go to
            the row that comes first.

    Returns:
        [C] int64, 0 for the best row of each group.

    Example:
        >>> group, score = np.array([0, 0, 1, 0]), np.array([1.0, 2.0, 0.0, 2.0])
        >>> rank_in_group(group, score).tolist()
        [2, 0, 0, 1]
    """
    order_C = np.lexsort((*(-key_C for key_C in reversed(keys_C)), group_C))
    sorted_C = group_C[order_C]
    is_first_C = np.ones(sorted_C.size, dtype=np.bool_)
    np.not_equal(sorted_C[1:], sorted_C[:-1], out=is_first_C[1:])
    place_C = np.arange(sorted_C.size)
    start_C = np.maximum.accumulate(np.where(is_first_C, place_C, 0))
    rank_C = np.empty_like(place_C)
    rank_C[order_C] = place_C - start_C
    return rank_C


def best_of_groups(group_C: Ints, limit_G: Ints, *keys_C: Numbers) -> Ints:
    """Keep the best rows of every group.

    Sorting everything is what a decoder would spend most of its own time on. Rows that are clearly
    not among the best of their group are therefore dropped before, by the first key; where rows tie
    with the last of the best, the order of `rank_in_group` decides.

    Args:
        group_C: [C] int64, group of each row, ascending.
        limit_G: [G] int64 >= 1, rows to keep of each group.
        *keys_C: [C] numbers, as in `rank_in_group`, at least one.

    Returns:
        [D] int64, positions of the rows kept, ascending.

    Example:
        >>> group, score = np.array([0, 0, 0, 1]), np.array([1.0, 3.0, 2.0, 0.0])
        >>> best_of_groups(group, np.array([2, 1]), score).tolist()
        [1, 2, 3]
    """
    kept = np.empty(group_C.size, dtype=np.int64)
    count, is_exact = _likely_best(group_C, limit_G, keys_C[0], kept)
    kept = kept[:count]
    if is_exact:
        return kept
    group = group_C[kept]
    is_best = rank_in_group(group, *(key_C[kept] for key_C in keys_C)) < limit_G[group]
    return kept[is_best]


@compiled
def end_of_group(group_C: Ints, first: int) -> int:
    """Find where a group ends; for compiled callers.

    Args:
        group_C: [C] int64, group of each row, ascending.
        first: First row of the group.

    Returns:
        The row after its last one.
    """
    end = first
    while end < group_C.size and group_C[end] == group_C[first]:
        end += 1
    return end


@compiled
def _sink(heap: Numbers, place: int) -> None:
    """Let a number sink until both numbers below it are larger."""
    child = 2 * place + 1
    while child < heap.size:
        if child + 1 < heap.size and heap[child + 1] < heap[child]:
            child += 1
        if heap[place] <= heap[child]:
            return
        heap[place], heap[child] = heap[child], heap[place]
        place, child = child, 2 * child + 1


@compiled
def _last_of_best(key_C: Numbers, count: int) -> float:
    """Find the smallest of the `count` largest keys, which a heap holds with the smallest first."""
    heap = key_C[:count].copy()
    for place in range(count // 2 - 1, -1, -1):
        _sink(heap, place)
    for key in key_C[count:]:
        if key > heap[0]:
            heap[0] = key
            _sink(heap, 0)
    lowest: float = heap[0]
    return lowest


@compiled
def _likely_best(group_C: Ints, limit_G: Ints, key_C: Numbers, kept: Ints) -> tuple[int, bool]:
    """Fill in the rows that are not below the last of the best of their group.

    They are counted, and it is said whether none of them is too many.
    """
    count, is_exact, first = 0, True, 0
    while first < group_C.size:
        end = end_of_group(group_C, first)
        limit, before = limit_G[group_C[first]], count
        lowest = _last_of_best(key_C[first:end], min(limit, end - first))
        for row in range(first, end):
            if key_C[row] >= lowest:
                kept[count] = row
                count += 1
        is_exact = is_exact and count - before <= limit
        first = end
    return count, is_exact
