"""T18: terminal rewards are compared inside a request, never across requests."""

import torch

from gpr_core.objectives.advantages import request_z_scores

REWARD = torch.tensor([1.0, 2.0, 3.0, 1000.0, 2000.0, 3000.0])
ROW = torch.tensor([0, 0, 0, 1, 1, 1])


def check_scores(score):
    """Requests of any scale get equal scores, constant rewards get none, ddof is 0."""
    first, second = score(REWARD, ROW)[:3], score(REWARD, ROW)[3:]
    torch.testing.assert_close(first, second, atol=1e-4, rtol=0)
    torch.testing.assert_close(first[2], torch.tensor(1.5**0.5), atol=1e-4, rtol=0)
    constant = score(torch.full((6,), 7.0), ROW)
    assert constant.tolist() == [0.0] * 6
    nearly = score(torch.tensor([7.0, 7.0 + 5e-7, 7.0, 1.0, 2.0, 3.0]), ROW)
    assert nearly[:3].tolist() == [0.0] * 3


def caught(score):
    try:
        check_scores(score)
    except AssertionError:
        return True
    return False


def test_scores_are_per_request():
    check_scores(lambda reward, row: request_z_scores(reward, row, 1e-6, 1.0))


def test_twins_are_caught():
    assert caught(lambda reward, row: (reward - reward.mean()) / (reward.std(correction=0) + 1e-6))

    def sample_deviation(reward, row):
        groups = [reward[row == r] for r in (0, 1)]
        return torch.cat([(g - g.mean()) / (g.std() + 1e-6) for g in groups])

    def no_floor(reward, row):
        groups = [reward[row == r] for r in (0, 1)]
        return torch.cat([(g - g.mean()) / g.std(correction=0) for g in groups])

    assert caught(sample_deviation)
    assert caught(no_floor)
