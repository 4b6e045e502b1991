import torch

from gpr_core.generation.ordering import expand_intervals, rank_in_group


def test_later_keys_break_ties_of_earlier_ones():
    group = torch.tensor([1, 0, 1, 1])
    first = torch.tensor([5.0, 1.0, 5.0, 6.0])
    second = torch.tensor([0.0, 0.0, 2.0, -9.0])
    assert rank_in_group(group, first, second).tolist() == [2, 0, 1, 0]


def test_remaining_ties_go_to_the_row_that_comes_first():
    assert rank_in_group(torch.tensor([4, 4, 4])).tolist() == [0, 1, 2]


def test_no_rows():
    assert rank_in_group(torch.zeros(0, dtype=torch.int64)).tolist() == []


def test_empty_intervals_vanish():
    interval, value = expand_intervals(torch.tensor([3, 7, 1]), torch.tensor([5, 7, 2]))
    assert interval.tolist() == [0, 0, 2]
    assert value.tolist() == [3, 4, 1]
