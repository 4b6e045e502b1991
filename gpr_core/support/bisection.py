"""Many binary searches at once, each in a range of its own.

Letters: M searches.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def first_place(
    low_M: Tensor, high_M: Tensor, rounds: int, is_before: Callable[[Tensor], Tensor]
) -> Tensor:
    """Find the first place of each range that is not before what is searched.

    The number of rounds is fixed, whatever the ranges hold: asking whether all searches have ended
    would stop a GPU at every round.

    Args:
        low_M: [M] int64, first place of each range.
        high_M: [M] int64, place after the last one.
        rounds: No range may hold 2 ** rounds places.
        is_before: Takes [M] int64 places, those of searches that have ended being 0, and says which
            come before what is searched; True up to some place of a range, False from then on.

    Returns:
        [M] int64; the end of the range where all places come before.

    Example:
        >>> sorted_numbers = torch.tensor([1, 3, 5, 7])
        >>> first_place(torch.tensor([0, 0]), torch.tensor([4, 2]), 3,
        ...     lambda place: sorted_numbers[place] < 4).tolist()
        [2, 2]
    """
    for _ in range(rounds):
        is_open_M = low_M < high_M
        middle_M = torch.where(is_open_M, (low_M + high_M) // 2, 0)
        goes_right_M = is_open_M & is_before(middle_M)
        low_M = torch.where(goes_right_M, middle_M + 1, low_M)
        high_M = torch.where(is_open_M & ~goes_right_M, middle_M, high_M)
    return low_M
