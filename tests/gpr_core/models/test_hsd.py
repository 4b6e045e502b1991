"""Tests of the sequence-wise decoder."""

import dataclasses

import torch
import torch.nn.functional as F

from gpr_core.models.hsd import HSD, HSDBlock
from gpr_core.models.masks import causal_peers, segment_hybrid_mask, segment_hybrid_peers
from gpr_core.models.relation import relate
from gpr_core.models.token_aware import group_tokens, unpack
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import SMALL, make_batch

PLAIN = dataclasses.replace(
    SMALL, attention_heads=1, token_aware_norm=False, token_aware_ffn=False, dropout=0.0
)


def relation_of(batch):
    """Groups and relation of a batch."""
    groups = group_tokens(batch.kind_BT)
    peers_BT = segment_hybrid_peers(batch.kind_BT, batch.seg_BT)
    return groups, relate(batch.ts_BT, peers_BT, groups, SMALL.max_distance)


def run(module, batch, x_GD):
    """Run a module over packed tokens."""
    return module(x_GD, *relation_of(batch))


def make(module_class, config, *users):
    """Make a module in evaluation mode, a batch and packed tokens."""
    seed_global_torch(0, "hsd")
    batch = make_batch(*users)
    num_tokens = int((batch.kind_BT < 4).sum())
    return module_class(config).eval(), batch, torch.randn(num_tokens, config.width)


def written_out(block, x_TD, visible_TT, *, is_normed):
    """Compute a shared-parameter block with one attention head line by line."""
    width = x_TD.shape[1]
    z_TD = F.layer_norm(x_TD, (width,))
    q, k, v, u = (z_TD @ block.project.weight.T).chunk(4, dim=1)
    score_TT = (q @ k.T / width**0.5).masked_fill(~visible_TT, float("-inf"))
    a_TD = torch.softmax(score_TT, dim=1) @ v
    a_TD = F.layer_norm(a_TD, (width,)) if is_normed else a_TD
    y_TD = x_TD + (a_TD * F.silu(u + block.gate_D)) @ block.merge.weight.T
    gate, inner = (F.layer_norm(y_TD, (width,)) @ block.feed_forward.inner_SDD[0]).chunk(2, dim=1)
    return y_TD + (F.silu(gate) * inner) @ block.feed_forward.outer_SDD[0]


def test_a_block_is_the_written_formula():
    for is_normed in (True, False):
        config = dataclasses.replace(PLAIN, norm_before_gate=is_normed)
        block, batch, x_GD = make(HSDBlock, config, "UOEI")  # already sorted by kind
        torch.nn.init.zeros_(block.bias.distance_HC)
        visible_TT = segment_hybrid_mask(batch.kind_BT, batch.seg_BT)[0]
        expected = written_out(block, x_GD, visible_TT, is_normed=is_normed)
        torch.testing.assert_close(run(block, batch, x_GD), expected, atol=1e-5, rtol=1e-5)


def test_keys_and_values_may_come_from_other_states_of_the_tokens():
    block, batch, x_GD = make(HSDBlock, SMALL, "UOEI", "UE")
    groups, relation = relation_of(batch)
    own = block(x_GD, groups, relation)
    torch.testing.assert_close(block(x_GD, groups, relation, x_GD), own)
    source_GD = torch.randn_like(x_GD, requires_grad=True)
    block(x_GD, groups, relation, source_GD).sum().backward()
    # Every token is seen at least by itself.
    assert bool((source_GD.grad.abs().sum(dim=1) > 0).all())
    assert not torch.equal(block(x_GD, groups, relation, source_GD), own)


def test_padding_comes_out_as_zeros_and_changes_nothing():
    hsd, batch, x_GD = make(HSD, SMALL, "UOEI")
    alone_BTD = run(hsd, batch, x_GD)
    padded = make_batch("UOEI.......")
    padded = padded._replace(ts_BT=F.pad(batch.ts_BT, (0, 7)))
    padded_BTD = run(hsd, padded, x_GD)
    assert not padded_BTD[0, 4:].any()
    torch.testing.assert_close(padded_BTD[:, :4], alone_BTD, atol=1e-6, rtol=0)


def test_every_kind_gets_its_own_treatment():
    hsd, batch, x_GD = make(HSD, SMALL, "UOEO")
    other = make_batch("UOEI")
    with torch.no_grad():
        for parameter in hsd.parameters():
            parameter.normal_()
    before, after = run(hsd, batch, x_GD), run(hsd, other, x_GD)
    assert not torch.equal(before[0, 3], after[0, 3])


def test_a_token_that_nobody_sees_changes_nobody():
    hsd, batch, x_GD = make(HSD, SMALL, "UOEI")
    changed_GD = x_GD.clone()
    changed_GD[3] += 1.0
    before, after = run(hsd, batch, x_GD), run(hsd, batch, changed_GD)
    assert torch.equal(before[:, :3], after[:, :3])


def test_the_causal_mask_makes_prompts_causal():
    hsd, batch, x_GD = make(HSD, SMALL, "UOE")
    groups = group_tokens(batch.kind_BT)
    relation = relate(batch.ts_BT, causal_peers(batch.kind_BT), groups, SMALL.max_distance)
    changed_GD = x_GD.clone()
    changed_GD[2] += 1.0
    before, after = hsd(x_GD, groups, relation), hsd(changed_GD, groups, relation)
    assert torch.equal(before[:, :2], after[:, :2])
    assert not torch.equal(run(hsd, batch, x_GD)[:, 0], run(hsd, batch, changed_GD)[:, 0])
    assert torch.equal(unpack(x_GD, groups)[0], x_GD)


def test_the_block_of_hstu_is_the_written_one():
    config = dataclasses.replace(PLAIN, attention="pointwise", ffn_multiple=0)
    block, batch, x_GD = make(HSDBlock, config, "UOEIOE")
    groups, relation = relation_of(batch)
    with torch.no_grad():
        block.bias.distance_HC.zero_()
        found_TD = unpack(block(x_GD, groups, relation), groups)[0]
        x_TD = unpack(x_GD, groups)[0]
        width = config.width
        q, k, v, u = (F.layer_norm(x_TD, (width,)) @ block.project.weight.T).chunk(4, dim=1)
        q, k, v = F.silu(q), F.silu(k), F.silu(v)
        visible_TT = segment_hybrid_mask(batch.kind_BT, batch.seg_BT)[0]
        a_TD = F.silu(q @ k.T / width**0.5).masked_fill(~visible_TT, 0.0) @ v
        gated_TD = F.layer_norm(a_TD, (width,)) * F.silu(u + block.gate_D)
        torch.testing.assert_close(found_TD, x_TD + gated_TD @ block.merge.weight.T)
    assert not any("feed_forward" in name for name, _ in block.named_parameters())


def test_without_gate_the_block_is_a_plain_transformer_block():
    config = dataclasses.replace(PLAIN, gated=False, ffn_multiple=0)
    block, batch, x_GD = make(HSDBlock, config, "UOEIOE")
    groups, relation = relation_of(batch)
    with torch.no_grad():
        block.bias.distance_HC.zero_()
        found_TD = unpack(block(x_GD, groups, relation), groups)[0]
        x_TD, width = unpack(x_GD, groups)[0], config.width
        q, k, v = (F.layer_norm(x_TD, (width,)) @ block.project.weight.T).chunk(3, dim=1)
        visible_TT = segment_hybrid_mask(batch.kind_BT, batch.seg_BT)[0]
        score_TT = (q @ k.T / width**0.5).masked_fill(~visible_TT, float("-inf"))
        expected_TD = x_TD + torch.softmax(score_TT, dim=1) @ v @ block.merge.weight.T
    torch.testing.assert_close(found_TD, expected_TD)
