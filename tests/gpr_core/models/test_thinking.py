"""Tests of thinking tokens."""

import torch

from gpr_core.models.decoder_layer import access_memory
from gpr_core.models.thinking import Thinking
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SMALL


def think():
    """Think about three readouts of two users."""
    seed_global_torch(0, "thinking")
    thinking = Thinking(SMALL).eval()
    memory_BTD = torch.randn(2, 4, SMALL.width)
    visible_MT = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]]).bool()
    access = access_memory(torch.tensor([0, 0, 1]), visible_MT, 2)
    return thinking, thinking(torch.randn(3, SMALL.width), memory_BTD, access)


def test_every_readout_has_its_own_thoughts():
    _, thought_MKD = think()
    assert thought_MKD.shape == (3, SMALL.num_thoughts, SMALL.width)
    assert not torch.equal(thought_MKD[0], thought_MKD[1])


def test_the_gradient_reaches_every_slot():
    thinking, thought_MKD = think()
    thought_MKD.sum(dim=1).square().sum().backward()
    assert (thinking.query_KD.grad.abs().amax(dim=1) > 0).tolist() == [True] * SMALL.num_thoughts


def test_slots_do_not_all_say_the_same():
    _, thought_MKD = think()
    unit_MKD = torch.nn.functional.normalize(thought_MKD, dim=-1)
    cosine_MKK = unit_MKD @ unit_MKD.transpose(1, 2)
    slots = SMALL.num_thoughts
    mean = (cosine_MKK.sum(dim=(1, 2)) - slots) / (slots * (slots - 1))
    assert mean.max().item() < 0.95
