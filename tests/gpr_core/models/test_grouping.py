"""Tests of rows side by side with their group."""

import pytest
import torch

from gpr_core.models.grouping import group_rows


@pytest.mark.parametrize(
    "group", [[2, 0, 2, 2, 1], [0, 0, 1, 1], [1, 1, 0, 0], [3], [0, 1, 2, 3]], ids=str
)
def test_every_row_stands_in_its_group_once_and_comes_back(group):
    rows = group_rows(torch.tensor(group), 4)
    part_NX = torch.randn(len(group), 3)
    grid_GCX = rows.spread(part_NX, empty=-9.0)
    assert grid_GCX.shape == (4, max(map(group.count, group)), 3)
    for number in range(4):
        mine = [row for row, one in enumerate(group) if one == number]
        assert torch.equal(grid_GCX[number, : len(mine)], part_NX[mine])
        assert bool((grid_GCX[number, len(mine) :] == -9.0).all())
    assert torch.equal(rows.gather(grid_GCX), part_NX)


def test_full_groups_in_order_are_not_moved():
    part_NX = torch.randn(6, 2)
    grid_GCX = group_rows(torch.tensor([0, 0, 1, 1, 2, 2]), 3).spread(part_NX)
    assert grid_GCX.data_ptr() == part_NX.data_ptr()


def test_gradients_reach_every_row():
    part_NX = torch.randn(3, 2, requires_grad=True)
    rows = group_rows(torch.tensor([1, 0, 1]), 2)
    rows.gather(rows.spread(part_NX) * 3.0).sum().backward()
    assert torch.equal(part_NX.grad, torch.full((3, 2), 3.0))
