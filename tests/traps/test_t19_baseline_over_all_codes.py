"""T19: the baseline of Eq 6 is the mean over legal children, not over the codebook."""

import torch

from gpr_core.objectives.process_reward import preference_delta

POPULARITY = torch.tensor([[0.6, 0.4, 0.0, 0.0]])
CHOICE = torch.tensor([0])


def check_baseline(delta):
    """Targeting that removes the unpopular codes lowers the advantage of the popular one."""
    everything = delta(POPULARITY, torch.tensor([[True] * 4]), CHOICE).item()
    targeted = delta(POPULARITY, torch.tensor([[True, True, False, False]]), CHOICE).item()
    assert abs(everything - (0.6 - 0.25)) < 1e-6
    assert abs(targeted - (0.6 - 0.5)) < 1e-6


def test_baseline_follows_the_legal_set():
    check_baseline(preference_delta)


def test_twin_that_averages_the_codebook_is_caught():
    def over_all_codes(popularity, legal, code):
        return popularity.gather(1, code.unsqueeze(1)).squeeze(1) - popularity.mean(1)

    try:
        check_baseline(over_all_codes)
    except AssertionError:
        return
    raise AssertionError("the check does not notice a baseline over all codes")
