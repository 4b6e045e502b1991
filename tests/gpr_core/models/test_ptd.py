"""Tests of think, refine, generate."""

import torch

from gpr_core.models.ptd import PTD
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SMALL


def read():
    """Read two readouts of one user."""
    seed_global_torch(0, "ptd")
    ptd = PTD(SMALL, num_levels=3).eval()
    memory_BTD = torch.randn(1, 4, SMALL.width)
    visible_MT = torch.tensor([[True, True, False, False], [True, True, True, True]])
    return ptd, ptd.read(torch.randn(2, SMALL.width), memory_BTD, torch.tensor([0, 0]), visible_MT)


def test_the_condition_is_the_sum_of_the_thoughts():
    _, intent = read()
    torch.testing.assert_close(intent.intent_MD, intent.thought_MKD.sum(dim=1))


def test_without_diffusion_the_refined_token_is_linear_in_the_condition():
    ptd, intent = read()
    torch.testing.assert_close(intent.refined_MD, intent.intent_MD @ ptd.refine.weight.T)


def test_thinking_and_refining_learn_from_generated_codes():
    ptd, intent = read()
    intent.start.hidden_XD.square().sum().backward()
    assert bool(ptd.refine.weight.grad.abs().sum() > 0)
    assert bool(ptd.think.query_KD.grad.abs().sum() > 0)
