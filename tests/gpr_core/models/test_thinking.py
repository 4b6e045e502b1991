"""Tests of thinking tokens."""

import dataclasses

import pytest
import torch

from gpr_core.models.decoder_layer import access_memory
from gpr_core.models.thinking import Thinking
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SMALL

WAYS = ("parallel", "sequential")
VISIBLE_MT = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 1, 0]]).bool()
ACCESS = access_memory(torch.tensor([0, 0, 1]), VISIBLE_MT, 2)


def make(way="parallel", num_thoughts=SMALL.num_thoughts):
    """Make the module, three readouts of two users and their memory."""
    seed_global_torch(0, "thinking")
    config = dataclasses.replace(SMALL, think=way, num_thoughts=num_thoughts)
    thinking = Thinking(config).eval()
    return thinking, torch.randn(3, SMALL.width), torch.randn(2, 4, SMALL.width)


def think(way):
    """Think about three readouts of two users."""
    thinking, readout_MD, memory_BTD = make(way)
    return thinking, thinking(readout_MD, memory_BTD, ACCESS)


@pytest.mark.parametrize("way", WAYS)
def test_every_readout_has_its_own_thoughts(way):
    _, thought_MKD = think(way)
    assert thought_MKD.shape == (3, SMALL.num_thoughts, SMALL.width)
    assert not torch.equal(thought_MKD[0], thought_MKD[1])


@pytest.mark.parametrize("way", WAYS)
def test_the_gradient_reaches_every_slot(way):
    thinking, thought_MKD = think(way)
    thought_MKD.sum(dim=1).square().sum().backward()
    assert (thinking.query_KD.grad.abs().amax(dim=1) > 0).tolist() == [True] * SMALL.num_thoughts


@pytest.mark.parametrize("way", WAYS)
def test_slots_do_not_all_say_the_same(way):
    _, thought_MKD = think(way)
    unit_MKD = torch.nn.functional.normalize(thought_MKD, dim=-1)
    cosine_MKK = unit_MKD @ unit_MKD.transpose(1, 2)
    slots = SMALL.num_thoughts
    mean = (cosine_MKK.sum(dim=(1, 2)) - slots) / (slots * (slots - 1))
    assert mean.max().item() < 0.95


def test_one_thought_is_the_same_in_both_ways():
    found = []
    for way in WAYS:
        thinking, readout_MD, memory_BTD = make(way, num_thoughts=1)
        found.append(thinking(readout_MD, memory_BTD, ACCESS))
    torch.testing.assert_close(*found)


def test_both_ways_have_the_same_parameters():
    shapes = [{name: p.shape for name, p in make(way)[0].named_parameters()} for way in WAYS]
    assert shapes[0] == shapes[1]


def test_a_sequential_thought_starts_from_the_finished_one_before():
    thinking, readout_MD, memory_BTD = make("sequential")
    found_MKD = thinking(readout_MD, memory_BTD, ACCESS)
    first_MD = thinking.condition(readout_MD)
    starts_MKD = torch.stack([first_MD, found_MKD[:, 0], found_MKD[:, 1]], dim=1)
    x_MKD = thinking.query_KD + starts_MKD
    causal_KK = torch.ones(3, 3, dtype=torch.bool).tril()
    for layer in thinking.decoder.layers:
        memory = layer.read_memory(memory_BTD)
        x_MKD, _ = layer(x_MKD, mask_PS=causal_KK, past=None, memory=memory, access=ACCESS)
    torch.testing.assert_close(found_MKD, thinking.norm(x_MKD), atol=1e-5, rtol=1e-5)


def test_a_later_query_changes_no_earlier_thought():
    for way in WAYS:
        thinking, readout_MD, memory_BTD = make(way)
        before_MKD = thinking(readout_MD, memory_BTD, ACCESS)
        with torch.no_grad():
            thinking.query_KD[2] += 1.0
        after_MKD = thinking(readout_MD, memory_BTD, ACCESS)
        torch.testing.assert_close(after_MKD[:, :2], before_MKD[:, :2])
        assert not torch.equal(after_MKD[:, 2], before_MKD[:, 2])
