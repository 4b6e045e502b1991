"""Tests of the parallel prediction heads."""

import torch

from gpr_core.models.code_decoder import CodeDecoder
from gpr_core.models.decoder_layer import access_memory
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
    code_PD = codes(codes_P[None])[0] + decoder.level_PD[: len(codes_P)]
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
        torch.autograd.grad(out.square().sum(), codes.table_VD, retain_graph=True)[0]
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
