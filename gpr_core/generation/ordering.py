"""Positions inside groups, the building block of every cut of a beam.

Letters: C flat rows.
"""

import torch
from torch import Tensor


def rank_in_group(group_C: Tensor, *keys_C: Tensor) -> Tensor:
    """Rank rows inside their group by several keys, best first.

    Args:
        group_C: [C] int64, group of each row.
        *keys_C: [C] numbers, the most important first, larger is better; the remaining ties go to
            the row that comes first.

    Returns:
        [C] int64, 0 for the best row of each group.

    Example:
        >>> group, score = torch.tensor([0, 0, 1, 0]), torch.tensor([1.0, 2.0, 0.0, 2.0])
        >>> rank_in_group(group, score).tolist()
        [2, 0, 0, 1]
    """
    order_C = torch.arange(group_C.numel(), device=group_C.device)
    for key_C in reversed(keys_C):
        order_C = order_C[torch.argsort(key_C[order_C], stable=True, descending=True)]
    order_C = order_C[torch.argsort(group_C[order_C], stable=True)]
    sorted_C = group_C[order_C]
    is_first_C = torch.ones_like(sorted_C, dtype=torch.bool)
    is_first_C[1:] = sorted_C[1:] != sorted_C[:-1]
    place_C = torch.arange(group_C.numel(), device=group_C.device)
    start_C = torch.where(is_first_C, place_C, torch.zeros_like(place_C)).cummax(0).values
    rank_C = torch.empty_like(place_C)
    rank_C[order_C] = place_C - start_C
    return rank_C


def expand_intervals(first_M: Tensor, end_M: Tensor) -> tuple[Tensor, Tensor]:
    """List the integers of half-open intervals.

    Args:
        first_M: [M] int64.
        end_M: [M] int64, >= first.

    Returns:
        (interval [C] int64 ascending, value [C] int64 ascending inside an interval).

    Example:
        >>> expand_intervals(torch.tensor([5, 0]), torch.tensor([7, 1]))
        (tensor([0, 0, 1]), tensor([5, 6, 0]))
    """
    length_M = end_M - first_M
    interval_C = torch.repeat_interleave(length_M)
    before_M = torch.cumsum(length_M, 0) - length_M
    place_C = torch.arange(interval_C.numel(), device=first_M.device)
    return interval_C, place_C + (first_M - before_M)[interval_C]
