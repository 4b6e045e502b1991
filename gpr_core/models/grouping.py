"""Rows side by side with others of their group, so that what a group shares is never copied.

Letters: N flat rows, G groups, C rows of one group (padded), X features, Z cells of the grid.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Grouping(NamedTuple):
    """Which row stands in which cell of the [G, C] grid.

    Attributes:
        groups: G.
        slots: C, the largest number of rows of one group.
        cell_N: [N] int64, cell of each row in the flattened grid; None if row n stands in cell n
            and no cell is empty.
    """

    groups: int
    slots: int
    cell_N: Tensor | None

    def spread(self, part_NX: Tensor, empty: float = 0.0) -> Tensor:
        """Put rows into the grid.

        Args:
            part_NX: [N, X].
            empty: What stands in empty cells.

        Returns:
            [G, C, X].
        """
        if self.cell_N is not None:
            grid_ZX = part_NX.new_full((self.groups * self.slots, part_NX.shape[1]), empty)
            part_NX = grid_ZX.index_copy(0, self.cell_N, part_NX)
        return part_NX.view(self.groups, self.slots, -1)

    def gather(self, part_GCX: Tensor) -> Tensor:
        """Take rows out of the grid.

        Args:
            part_GCX: [G, C, X].

        Returns:
            [N, X].
        """
        part_ZX = part_GCX.flatten(0, 1)
        return part_ZX if self.cell_N is None else part_ZX.index_select(0, self.cell_N)


def group_rows(group_N: Tensor, num_groups: int) -> Grouping:
    """Arrange rows by group; inside a group they keep their order.

    Args:
        group_N: [N] int64, group of each row, in any order.
        num_groups: G.

    Returns:
        The arrangement.

    Example:
        >>> rows = group_rows(torch.tensor([1, 0, 1]), 2)
        >>> rows.spread(torch.tensor([[5.0], [6.0], [7.0]])).tolist()
        [[[6.0], [0.0]], [[5.0], [7.0]]]
    """
    count_G = torch.bincount(group_N, minlength=num_groups)
    slots = int(count_G.max())
    place_N = torch.arange(group_N.shape[0], device=group_N.device)
    if group_N.shape[0] == num_groups * slots and torch.equal(group_N, place_N // slots):
        return Grouping(num_groups, slots, None)
    order_N = torch.argsort(group_N, stable=True)
    sorted_N = group_N[order_N]
    first_G = count_G.cumsum(0) - count_G
    cell_N = torch.empty_like(order_N)
    cell_N[order_N] = sorted_N * slots + place_N - first_G[sorted_N]
    return Grouping(num_groups, slots, cell_N)
