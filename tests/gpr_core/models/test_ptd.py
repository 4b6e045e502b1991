"""Tests of think, refine, generate."""

import dataclasses

import torch

from gpr_core.models.config import RefiningConfig
from gpr_core.models.ptd import PTD
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SMALL

DIFFUSION = dataclasses.replace(SMALL, refine=RefiningConfig(kind="diffusion"))


def read(config=SMALL):
    """Read two readouts of one user."""
    seed_global_torch(0, "ptd")
    ptd = PTD(config, num_levels=3).eval()
    memory_BTD = torch.randn(1, 4, SMALL.width)
    visible_MT = torch.tensor([[True, True, False, False], [True, True, True, True]])
    rows, keys = torch.tensor([0, 0]), torch.tensor([7, 8])
    return ptd, ptd.read(torch.randn(2, SMALL.width), memory_BTD, rows, visible_MT, keys)


def test_the_condition_is_the_sum_of_the_thoughts():
    _, intent = read()
    torch.testing.assert_close(intent.intent_MD, intent.thought_MKD.sum(dim=1))


def test_without_diffusion_the_refined_token_is_linear_in_the_condition():
    ptd, intent = read()
    torch.testing.assert_close(intent.refined_MD, intent.intent_MD @ ptd.refine.weight.T)


def test_with_diffusion_the_refined_token_is_sampled_for_the_request():
    ptd, intent = read(DIFFUSION)
    sampled_MD = ptd.refine(intent.thought_MKD, intent.intent_MD, torch.tensor([7, 8]))
    assert torch.equal(intent.refined_MD, sampled_MD)
    other_MD = ptd.refine(intent.thought_MKD, intent.intent_MD, torch.tensor([7, 9]))
    assert torch.equal(other_MD[0], sampled_MD[0])
    assert not torch.equal(other_MD[1], sampled_MD[1])


def test_thinking_and_refining_learn_from_generated_codes():
    for config in (SMALL, DIFFUSION):
        ptd, intent = read(config)
        intent.start.hidden_XD.square().sum().backward()
        assert bool(next(ptd.refine.parameters()).grad.abs().sum() > 0)
        assert bool(ptd.think.query_KD.grad.abs().sum() > 0)
