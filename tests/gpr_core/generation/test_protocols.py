import torch

from gpr_core.generation.protocols import Candidates, concat_candidates


def make_candidates(rows):
    count = len(rows)
    zeros = torch.zeros(count, dtype=torch.int64)
    by_level = torch.zeros((count, 2), dtype=torch.int64)
    return Candidates(
        torch.tensor(rows, dtype=torch.int64), zeros, zeros, zeros, zeros, by_level,
        by_level, by_level, zeros, torch.arange(count),
    )  # fmt: skip


def test_parts_are_joined_by_request_and_keep_their_order():
    joined = concat_candidates([make_candidates([1, 1, 3]), make_candidates([0, 2])])
    assert joined.row_M.tolist() == [0, 1, 1, 2, 3]
    assert joined.final_value_M.tolist() == [0, 0, 1, 1, 2]


def test_select_takes_masks_and_positions():
    found = make_candidates([4, 5, 6])
    assert found.select(torch.tensor([True, False, True])).row_M.tolist() == [4, 6]
    assert found.select(torch.tensor([2, 0])).row_M.tolist() == [6, 4]
