"""T08: an ineligible target is an error; the legal set never learns about the target.

Broken twins: a loss that adds the target to the legal set, and one that makes the set from it.
"""

import torch

from gpr_core.objectives.code_loss import path_logp
from gpr_core.support.errors import LegalityError

LOGITS = [torch.tensor([[[0.1, 0.2, 0.3, 0.4]]])]
OK = torch.tensor([[True]])
LEGAL = [torch.tensor([[[True, False, True, False]]])]


def refuses_an_illegal_target(loss):
    """Ask for the log-probability of a target that may not serve."""
    try:
        loss(LOGITS, torch.tensor([[[3]]]), LEGAL, OK)
    except LegalityError:
        return True
    return False


def normalizes_over_the_request(loss):
    """Check that the legal targets of a request share one distribution."""
    logp = [loss(LOGITS, torch.tensor([[[code]]]), LEGAL, OK) for code in (0, 2)]
    return bool(torch.isclose(torch.stack(logp).exp().sum(), torch.tensor(1.0)))


def add_the_target(logits, paths_MJL, legal, ok_MJ):
    """Make every target legal first."""
    opened = [
        legal_MJV | torch.nn.functional.one_hot(paths_MJL[..., level], legal_MJV.shape[-1]).bool()
        for level, legal_MJV in enumerate(legal)
    ]
    return path_logp(logits, paths_MJL, opened, ok_MJ)


def mask_from_the_target(logits, paths_MJL, legal, ok_MJ):
    """Take the codes from the target on as the legal set."""
    made = [
        torch.arange(legal_MJV.shape[-1]) >= paths_MJL[..., level, None]
        for level, legal_MJV in enumerate(legal)
    ]
    return path_logp(logits, paths_MJL, made, ok_MJ)


def test_an_illegal_target_raises_and_legal_ones_share_a_distribution():
    assert refuses_an_illegal_target(path_logp)
    assert normalizes_over_the_request(path_logp)


def test_the_check_finds_a_target_that_is_added():
    assert not refuses_an_illegal_target(add_the_target)


def test_the_check_finds_a_mask_made_from_the_target():
    assert not refuses_an_illegal_target(mask_from_the_target)
    assert not normalizes_over_the_request(mask_from_the_target)
