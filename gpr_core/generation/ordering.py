"""Positions inside groups, the building block of every cut of a beam.

Letters: C flat rows, D rows kept, G groups, X places of a group.
"""

import numpy as np
import numpy.typing as npt
import torch

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
    count_G = np.bincount(group_C, minlength=limit_G.size)
    if (count_G <= limit_G).all():
        return np.arange(group_C.size)
    kept = _likely_best(group_C, count_G, limit_G, keys_C[0])
    group = group_C[kept]
    if (np.bincount(group, minlength=limit_G.size) <= limit_G).all():
        return kept
    is_best = rank_in_group(group, *(key_C[kept] for key_C in keys_C)) < limit_G[group]
    return kept[is_best]


def _likely_best(group_C: Ints, count_G: Ints, limit_G: Ints, key_C: Numbers) -> Ints:
    """Find the rows that are not below the last of the best of their group; a few too many."""
    longest = int(count_G.max())
    grid = key_C
    if count_G.size * longest > group_C.size:
        start_G = np.cumsum(count_G) - count_G
        cell_C = np.arange(group_C.size) + (np.arange(count_G.size) * longest - start_G)[group_C]
        grid = np.full(count_G.size * longest, -np.inf, dtype=key_C.dtype)
        grid[cell_C] = key_C
    most = min(int(limit_G.max()), longest)
    top_GX = torch.from_numpy(grid.reshape(-1, longest)).topk(most, dim=1).values.numpy()
    last_G = np.minimum(limit_G, most) - 1
    lowest_G = top_GX[np.arange(last_G.size), last_G]
    return np.flatnonzero(key_C >= lowest_G[group_C])
