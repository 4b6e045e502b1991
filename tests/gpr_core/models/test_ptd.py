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


def test_without_thinking_the_intent_is_the_readout():
    config = dataclasses.replace(SMALL, num_thoughts=0)
    _, intent = read(config)
    assert intent.thought_MKD.shape == (2, 0, SMALL.width)
    seed_global_torch(0, "ptd")
    PTD(config, num_levels=3)
    torch.randn(1, 4, SMALL.width)
    assert torch.equal(intent.intent_MD, torch.randn(2, SMALL.width))


def test_without_refining_the_refined_token_is_zero_and_takes_no_place():
    ptd, intent = read(dataclasses.replace(SMALL, refine=RefiningConfig(kind="none")))
    assert not intent.refined_MD.any()
    assert ptd.generate.slot_SD.shape == (SMALL.num_thoughts, SMALL.width)


def test_a_decoder_without_thoughts_and_memory_reads_the_readout_alone():
    config = dataclasses.replace(
        SMALL, num_thoughts=0, refine=RefiningConfig(kind="none"), generates_from_memory=False
    )
    seed_global_torch(0, "ptd")
    ptd = PTD(config, num_levels=3).eval()
    assert not ptd.reads_memory
    assert not any("cross" in name or "memory" in name for name, _ in ptd.named_parameters())
    rows, keys = torch.tensor([0]), torch.tensor([7])
    readout_MD, visible_MT = torch.randn(1, SMALL.width), torch.ones(1, 4, dtype=torch.bool)
    first, second = (
        ptd.read(readout_MD, torch.randn(1, 4, SMALL.width), rows, visible_MT, keys)
        for _ in range(2)
    )
    assert torch.equal(first.start.hidden_XD, second.start.hidden_XD)
