"""Tests of the decoder layer and of its shared memory."""

import torch

from gpr_core.models.decoder_layer import DecoderLayer, DecoderStack, access_memory
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SMALL


def make_layer():
    """Make a layer in evaluation mode and the memory of three users with four tokens each."""
    seed_global_torch(0, "decoder")
    return DecoderLayer(SMALL, reads_memory=True, has_experts=False).eval(), torch.randn(
        3, 4, SMALL.width
    )


def run(layer, memory_BTD, x_NPD, row_batch_N, visible_NT):
    """Run a layer without earlier positions."""
    positions = x_NPD.shape[1]
    out_NPD, _ = layer(
        x_NPD,
        mask_PS=torch.ones(positions, positions, dtype=torch.bool).tril(),
        past=None,
        memory=layer.read_memory(memory_BTD),
        access=access_memory(row_batch_N, visible_NT, len(memory_BTD)),
    )
    return out_NPD


def test_empty_cells_of_a_user_read_everything():
    visible_NT = torch.tensor([[True, False], [True, True], [False, True], [True, False]])
    access = access_memory(torch.tensor([2, 0, 2, 0]), visible_NT, num_users=3)
    assert access.visible_BCT.int().tolist() == [
        [[1, 1], [1, 0]],
        [[1, 1], [1, 1]],  # a user without rows
        [[1, 0], [0, 1]],
    ]
    added = access_memory(torch.tensor([0, 0, 1]), torch.full((3, 2), -1.0), num_users=2)
    assert added.visible_BCT[1].tolist() == [[-1.0, -1.0], [0.0, 0.0]]


def test_rows_in_any_order_read_the_memory_of_their_own_user():
    layer, memory_BTD = make_layer()
    row_batch_N = torch.tensor([2, 0, 2, 2, 1])
    visible_NT = torch.tensor(
        [[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 1], [1, 0, 1, 1]]
    )
    visible_NT = visible_NT.bool()
    x_NPD = torch.randn(5, 2, SMALL.width)
    together = run(layer, memory_BTD, x_NPD, row_batch_N, visible_NT)
    for row, user in enumerate(row_batch_N.tolist()):
        visible_T = visible_NT[row]
        alone = run(
            layer,
            memory_BTD[user : user + 1, visible_T],
            x_NPD[row : row + 1],
            torch.tensor([0]),
            visible_T[visible_T][None],
        )
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-5, rtol=1e-5)


def test_a_hidden_memory_token_has_no_influence():
    layer, memory_BTD = make_layer()
    visible_NT = torch.tensor([[True, True, False, False]])
    x_NPD, row = torch.randn(1, 2, SMALL.width), torch.tensor([1])
    before = run(layer, memory_BTD, x_NPD, row, visible_NT)
    changed_BTD = memory_BTD.clone()
    changed_BTD[:, 2:] += 1.0
    assert torch.equal(before, run(layer, changed_BTD, x_NPD, row, visible_NT))


def test_positions_in_two_passes_equal_one_pass():
    layer, memory_BTD = make_layer()
    x_NPD = torch.randn(2, 5, SMALL.width)
    row_batch_N, visible_NT = torch.tensor([0, 2]), torch.ones(2, 4, dtype=torch.bool)
    whole = run(layer, memory_BTD, x_NPD, row_batch_N, visible_NT)
    shared = {
        "memory": layer.read_memory(memory_BTD),
        "access": access_memory(row_batch_N, visible_NT, 3),
    }
    square = torch.ones(5, 5, dtype=torch.bool).tril()
    first, past = layer(x_NPD[:, :3], mask_PS=square[:3, :3], past=None, **shared)
    second, seen = layer(x_NPD[:, 3:], mask_PS=square[3:], past=past, **shared)
    assert seen.key_NHSE.shape[2] == 5
    torch.testing.assert_close(torch.cat([first, second], 1), whole, atol=1e-5, rtol=1e-5)


def test_a_stack_has_the_configured_number_of_layers():
    assert len(DecoderStack(SMALL, reads_memory=True, has_experts=False).layers) == SMALL.ptd_layers
