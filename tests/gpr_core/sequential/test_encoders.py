"""Encoders see the past only, and padding changes nothing."""

import numpy as np
import pytest
import torch

from gpr_core.sequential.encoders import (
    EncoderConfig,
    HstuBlock,
    ItemEncoder,
    SasrecBlock,
    last_states,
)
from gpr_core.sequential.sequences import Histories
from gpr_core.support.errors import ConfigError
from gpr_core.support.seeding import seed_global_torch

CONFIG = EncoderConfig(width=8, blocks=2, max_items=6)
BLOCKS = (SasrecBlock, HstuBlock)


def make_encoder(block):
    seed_global_torch(0, "test")
    encoder = ItemEncoder(5, CONFIG, block).eval()
    for parameter in encoder.parameters():
        # Zero biases would hide half of what a block can do.
        torch.nn.init.normal_(parameter, std=0.5)
    return encoder


@pytest.mark.parametrize("block", BLOCKS)
def test_a_state_depends_on_every_item_up_to_its_own_and_on_none_after(block):
    encoder = make_encoder(block)
    items = torch.tensor([[0, 1, 2, 3]])
    states = encoder(items)
    for changed in range(4):
        other = items.clone()
        other[0, changed] = 4
        moved = (encoder(other) - states).abs().amax(-1)[0] > 1e-6
        assert moved.tolist() == [position >= changed for position in range(4)]


@pytest.mark.parametrize("block", BLOCKS)
def test_longer_neighbours_change_nothing(block):
    encoder = make_encoder(block)
    alone = encoder(torch.tensor([[3, 1]]))
    beside = encoder(torch.tensor([[3, 1, -1, -1], [0, 1, 2, 3]]))
    assert torch.allclose(beside[:1, :2], alone, atol=1e-6)


def test_order_matters():
    encoder = make_encoder(SasrecBlock)
    one, other = encoder(torch.tensor([[0, 1, 2]])), encoder(torch.tensor([[1, 0, 2]]))
    assert not torch.allclose(one[0, 2], other[0, 2], atol=1e-4)


@pytest.mark.parametrize("wrong", [{"dropout": 0.95}, {"width": 2}, {"max_items": 0}])
def test_a_size_outside_its_range_is_refused(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        EncoderConfig(**wrong)


def test_the_last_state_is_that_of_the_last_item_that_is_read():
    states = torch.arange(12.0).view(2, 3, 2)
    # The first user has more items than are read, the second one item.
    history = Histories(np.zeros(6, dtype=np.int64), np.array([0, 5, 6]))
    assert last_states(states, history).tolist() == [[4, 5], [6, 7]]
