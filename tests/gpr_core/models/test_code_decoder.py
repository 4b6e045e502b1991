"""Tests of the parallel prediction heads."""

import torch

from gpr_core.models.code_decoder import CodeDecoder
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SIZES, SMALL

HEADS = SMALL.num_heads


def make_start():
    """Start decoding for two readouts of two users."""
    seed_global_torch(0, "code-decoder")
    decoder = CodeDecoder(SMALL, len(SIZES)).eval()
    thought_MKD = torch.randn(2, SMALL.num_thoughts, SMALL.width)
    condition = (thought_MKD, thought_MKD.sum(1), torch.randn(2, SMALL.width))
    memory_BTD = torch.randn(2, 3, SMALL.width)
    row_batch_M, visible_MT = torch.tensor([0, 1]), torch.ones(2, 3, dtype=torch.bool)
    return decoder, decoder.start(condition, memory_BTD, row_batch_M, visible_MT)


def test_the_first_position_sees_no_other_head():
    decoder, start = make_start()
    with torch.no_grad():
        decoder.head_JD[1] += 1.0
    decoder_again, again = make_start()
    with torch.no_grad():
        decoder_again.head_JD[1] += 1.0
    assert torch.equal(start.hidden_XD, again.hidden_XD)
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
    rows, heads = torch.tensor([1, 0, 1]), torch.tensor([1, 0, 0])
    embedded_NPD = torch.randn(3, 2, SMALL.width)
    long = decoder.hidden(start, rows, heads, embedded_NPD)
    short = decoder.hidden(start, rows, heads, embedded_NPD[:, :1])
    none = decoder.hidden(start, rows, heads, embedded_NPD[:, :0])
    torch.testing.assert_close(long[:, :2], short, atol=1e-6, rtol=0)
    assert torch.equal(none[:, 0], start.hidden_XD[rows * HEADS + heads])


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
