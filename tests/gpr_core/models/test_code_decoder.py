"""Tests of the parallel prediction heads."""

import dataclasses
from functools import partial

import pytest
import torch

from gpr_core.models.code_decoder import CodeDecoder
from gpr_core.models.decoder_layer import KeyValue, access_memory
from gpr_core.models.inputs import CodeEmbedding
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SIZES, SMALL

HEADS = SMALL.num_heads


def make_inputs():
    """Make a decoder, and the condition and memory of two readouts of two users."""
    seed_global_torch(0, "code-decoder")
    decoder = CodeDecoder(SMALL, len(SIZES)).eval()
    thought_MKD = torch.randn(2, SMALL.num_thoughts, SMALL.width)
    condition = (thought_MKD, thought_MKD.sum(1), torch.randn(2, SMALL.width))
    return decoder, condition, torch.randn(2, 3, SMALL.width)


def make_start():
    """Start decoding."""
    decoder, condition, memory_BTD = make_inputs()
    row_batch_M, visible_MT = torch.tensor([0, 1]), torch.ones(2, 3, dtype=torch.bool)
    return decoder, decoder.start(condition, memory_BTD, row_batch_M, visible_MT)


def test_the_start_of_a_head_sees_no_other_head():
    decoder, condition, memory_BTD = make_inputs()
    row_batch_M, visible_MT = torch.tensor([0, 1]), torch.ones(2, 3, dtype=torch.bool)
    before = decoder.start(condition, memory_BTD, row_batch_M, visible_MT).hidden_XD
    with torch.no_grad():
        decoder.head_JD[1] += torch.arange(SMALL.width)
    after = decoder.start(condition, memory_BTD, row_batch_M, visible_MT).hidden_XD
    assert (before != after).any(dim=1).tolist() == [False, True, False, True]
    mask_PP = decoder._start_mask(3, torch.device("cpu"))
    assert mask_PP.int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 1, 0, 1],
    ]


def test_a_longer_prefix_keeps_the_states_of_a_shorter_one():
    decoder, start = make_start()
    codes = CodeEmbedding(SIZES, SMALL.width)
    rows, heads = torch.tensor([1, 0, 1]), torch.tensor([1, 0, 0])
    codes_NP = torch.tensor([[3, 0], [1, 2], [1, 2]])
    long = decoder.hidden(start, rows, heads, codes_NP, codes)
    short = decoder.hidden(start, rows, heads, codes_NP[:, :1], codes)
    [none] = decoder.hidden(start, rows, heads, codes_NP[:, :0], codes)
    assert (len(long), len(short)) == (3, 2)
    torch.testing.assert_close(long[:2], short, atol=1e-6, rtol=0)
    assert torch.equal(none, start.hidden_XD[rows * HEADS + heads])


def written_out(decoder, condition, memory_BTD, codes, codes_P):
    """Run one sequence [thoughts, refined, bos of head 1, codes] of the first readout at once."""
    thought_MKD, intent_MD, refined_MD = condition
    bos_D = decoder.project_bos(intent_MD + refined_MD)[0, SMALL.width :] + decoder.head_JD[1]
    shared_SD = torch.cat([thought_MKD[0], refined_MD[:1]]) + decoder.slot_SD
    code_PD = torch.stack([codes.level(level)[code] for level, code in enumerate(codes_P)])
    code_PD = code_PD + decoder.level_PD[: len(codes_P)]
    x_NPD = torch.cat([shared_SD, bos_D[None], code_PD])[None]
    positions = x_NPD.shape[1]
    access = access_memory(torch.tensor([0]), torch.ones(1, 3, dtype=torch.bool), 1)
    for layer in decoder.decoder.layers:
        x_NPD, _ = layer(
            x_NPD,
            mask_PS=torch.ones(positions, positions, dtype=torch.bool).tril(),
            past=None,
            memory=layer.read_memory(memory_BTD[:1]),
            access=access,
        )
    return x_NPD[0, len(decoder.slot_SD) :]


def test_decoding_code_by_code_is_the_causal_sequence_of_the_specification():
    decoder, start = make_start()
    _, condition, memory_BTD = make_inputs()
    codes, codes_P = CodeEmbedding(SIZES, SMALL.width), torch.tensor([3, 0])
    found = decoder.hidden(start, torch.tensor([0]), torch.tensor([1]), codes_P[None], codes)
    expected = written_out(decoder, condition, memory_BTD, codes, codes_P)
    torch.testing.assert_close(torch.cat(found), expected, atol=1e-5, rtol=1e-5)


def test_equal_prefixes_are_run_once_and_learn_together():
    decoder, start = make_start()
    codes = CodeEmbedding(SIZES, SMALL.width)
    zeros, ones = torch.zeros(3, dtype=torch.int64), torch.ones(3, dtype=torch.int64)
    codes_NP = torch.tensor([[2], [2], [2]])
    together = decoder.hidden(start, zeros, ones, codes_NP, codes)[1]
    alone = decoder.hidden(start, zeros[:1], ones[:1], codes_NP[:1], codes)[1]
    torch.testing.assert_close(together, alone.expand(3, -1), atol=1e-6, rtol=0)
    gradients = [
        torch.autograd.grad(out.square().sum(), codes.table_VE, retain_graph=True)[0]
        for out in (together, alone)
    ]
    torch.testing.assert_close(gradients[0], 3 * gradients[1], atol=1e-4, rtol=1e-4)


def test_logits_use_the_projection_of_the_head_and_the_embeddings_of_the_codes():
    decoder, _ = make_start()
    hidden_ND, heads = torch.randn(3, SMALL.width), torch.tensor([1, 0, 1])
    for size in SIZES:
        table_VD = torch.randn(size, SMALL.width)
        found = decoder.logits(hidden_ND, heads, table_VD)
        assert found.shape == (3, size)
        for row, head in enumerate(heads.tolist()):
            normed_D = decoder.norm(hidden_ND[row])
            expected = table_VD @ (normed_D @ decoder.project_out_JDD[head])
            torch.testing.assert_close(found[row], expected, atol=1e-5, rtol=1e-5)


LAZY = dataclasses.replace(SMALL, lazy_layers=1, dropout=0.0)


def lazy_pair():
    """Start a lazy decoder and the plain one with the same weights, on the same inputs."""
    plain, condition, memory_BTD = make_inputs()
    lazy = CodeDecoder(LAZY, len(SIZES)).eval()
    missing = lazy.load_state_dict(plain.state_dict(), strict=False).missing_keys
    assert sorted(missing) == ["mix_both.weight", "mix_code.weight"]
    row_batch_M, visible_MT = torch.tensor([0, 1]), torch.ones(2, 3, dtype=torch.bool)
    starts = [
        decoder.start(condition, memory_BTD, row_batch_M, visible_MT) for decoder in (plain, lazy)
    ]
    return lazy, *starts


def test_level_1_of_a_lazy_decoder_is_that_of_the_plain_one_bit_by_bit():
    _, plain_start, lazy_start = lazy_pair()
    assert plain_start.lazy_XPD is None
    assert lazy_start.lazy_XPD.shape == (2 * HEADS, len(SIZES) - 1, SMALL.width)
    assert torch.equal(lazy_start.hidden_XD, plain_start.hidden_XD)


def test_lazy_layers_run_once_and_codes_enter_behind_them(monkeypatch):
    decoder, _, start = lazy_pair()
    codes = CodeEmbedding(SIZES, SMALL.width)
    first, second = decoder.decoder.layers
    monkeypatch.setattr(first, "forward", None)
    monkeypatch.setattr(first, "step", None)
    rows, heads = torch.tensor([0, 1]), torch.tensor([1, 0])
    codes_NP = torch.tensor([[3, 0], [1, 2]])
    found = decoder.hidden(start, rows, heads, codes_NP, codes)
    code_ND = codes.level(0)[codes_NP[:, 0]]
    lazy_ND = start.lazy_XPD[rows * HEADS + heads, 0]
    mixed_ND = decoder.mix_both(torch.cat([lazy_ND * decoder.mix_code(code_ND), code_ND], dim=1))
    bos = [part[rows * HEADS + heads][:, :, None] for part in start.bos_X2HE[1].unbind(1)]
    past = KeyValue(*map(partial(torch.cat, dim=2), zip(start.shared[1], bos, strict=True)))
    expected_NPD, _ = second(
        mixed_ND[:, None],
        mask_PS=torch.ones(1, past.key_NHSE.shape[2] + 1, dtype=torch.bool),
        past=past,
        memory=start.memory[1],
        access=access_memory(rows, torch.ones(2, 3, dtype=torch.bool), 2),
    )
    torch.testing.assert_close(found[1], expected_NPD[:, 0])
    assert not torch.equal(found[1][0], found[2][0])


def test_a_longer_prefix_of_a_lazy_decoder_keeps_the_states_of_a_shorter_one():
    decoder, _, start = lazy_pair()
    codes = CodeEmbedding(SIZES, SMALL.width)
    rows, heads = torch.tensor([1, 0, 1]), torch.tensor([1, 0, 0])
    codes_NP = torch.tensor([[3, 0], [1, 2], [1, 2]])
    long = decoder.hidden(start, rows, heads, codes_NP, codes)
    short = decoder.hidden(start, rows, heads, codes_NP[:, :1], codes)
    torch.testing.assert_close(long[:2], short, atol=1e-6, rtol=0)


def test_the_lazy_loss_is_the_cross_entropy_of_later_codes_of_real_targets():
    decoder, plain_start, start = lazy_pair()
    codes = CodeEmbedding(SIZES, SMALL.width)
    paths_MJL = torch.tensor([[[1, 2, 3], [0, 0, 0]], [[2, 1, 4], [3, 0, 1]]])
    ok_MJ = torch.tensor([[True, False], [False, True]])
    loss = decoder.lazy_loss(start, paths_MJL, ok_MJ, codes)
    expected = []
    for node, head, path in ((0, 0, (1, 2, 3)), (3, 1, (3, 0, 1))):
        for level in (1, 2):
            state_D = decoder.norm(start.lazy_XPD[node, level - 1])
            logit_V = codes.level(level) @ (state_D @ decoder.project_out_JDD[head])
            expected.append(-torch.log_softmax(logit_V, dim=0)[path[level]])
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    assert decoder.lazy_loss(start, paths_MJL, ok_MJ & False, codes) == 0
    assert decoder.lazy_loss(plain_start, paths_MJL, ok_MJ, codes) == 0


@pytest.mark.parametrize("lazy_layers", [0, 1])
def test_users_with_one_readout_each_read_as_if_rows_were_told_apart(lazy_layers):
    _, condition, memory_BTD = make_inputs()
    decoder = CodeDecoder(dataclasses.replace(SMALL, lazy_layers=lazy_layers), len(SIZES)).eval()
    visible_MT = torch.tensor([[True, False, True], [False, True, True]])
    one_each = decoder.start(condition, memory_BTD, torch.tensor([0, 1]), visible_MT)
    assert one_each.is_one_each
    # A third user without a readout: the rows are told apart.
    more_BTD = torch.cat([memory_BTD, memory_BTD[:1]])
    told_apart = decoder.start(condition, more_BTD, torch.tensor([0, 1]), visible_MT)
    assert not told_apart.is_one_each
    codes, codes_NP = CodeEmbedding(SIZES, SMALL.width), torch.tensor([[3, 0], [1, 2], [1, 2]])
    rows, heads = torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1])
    found, expected = (
        decoder.hidden(start, rows, heads, codes_NP, codes) for start in (one_each, told_apart)
    )
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
