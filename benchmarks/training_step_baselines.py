"""HSD blocks as they are written for padded batches, with the weights of our blocks.

`naive` computes the networks of all kinds for all tokens and keeps one of them, and writes out
attention with its bias and mask. `strong` takes torch's attention and gives every network only its
own tokens. Torch has no fused kernel on the CPU for a bias that wants a gradient, and takes its
unfused one by itself.

Letters: B users, T tokens, D width, H attention heads, C bias classes, S parameter sets.
"""

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gpr_core.features.batch import TimelineBatch
from gpr_core.models.attention import merge_heads, split_heads
from gpr_core.models.hsd import HSDBlock
from gpr_core.models.masks import segment_hybrid_mask

Style = Literal["naive", "strong"]
_MINUTE_MS = 60_000
_HALF = 32


class Pairs(NamedTuple):
    """Classes of all pairs of the padded grid.

    Attributes:
        distance_TT: [T, T] int64.
        time_BTT: [B, T, T] int64.
        visible_BTT: [B, T, T] bool.
    """

    distance_TT: Tensor
    time_BTT: Tensor
    visible_BTT: Tensor


def pairs_of(batch: TimelineBatch, max_distance: int) -> Pairs:
    """Classify all pairs of a batch.

    Args:
        batch: Timelines.
        max_distance: Distances beyond it share a class.

    Returns:
        The classes.
    """
    position_T = torch.arange(batch.ts_BT.shape[1])
    distance_TT = (position_T[:, None] - position_T).clamp(-max_distance, max_distance)
    delta_BTT = batch.ts_BT[:, :, None] - batch.ts_BT[:, None, :]
    minutes_BTT = (delta_BTT.abs() // _MINUTE_MS + 1).to(torch.float32)
    time_BTT = (torch.frexp(minutes_BTT).exponent.long() - 1).clamp(max=_HALF - 1)
    time_BTT = time_BTT + _HALF * (delta_BTT < 0)
    visible_BTT = segment_hybrid_mask(batch.kind_BT, batch.seg_BT)
    return Pairs(distance_TT + max_distance, time_BTT, visible_BTT)


def padded_block(
    block: HSDBlock, x_BTD: Tensor, kind_BT: Tensor, pairs: Pairs, style: Style
) -> Tensor:
    """Apply one block to a padded grid.

    Args:
        block: Whose weights are taken.
        x_BTD: [B, T, D] float.
        kind_BT: [B, T] int64.
        pairs: Of the batch.
        style: How it is written.

    Returns:
        [B, T, D] float; anything on padding.
    """
    heads = len(block.bias.time_HC)
    norm = block.norm_attention
    z_BTD = _norm(x_BTD, kind_BT, (norm.scale_SD, norm.shift_SD), style)
    *qkv, gate_BTD = block.project(z_BTD).chunk(4, dim=-1)
    query, key, value = (split_heads(part_BTD, heads) for part_BTD in qkv)
    bias_BHTT = _bias(block, pairs)
    if style == "strong":
        a_BHTE = F.scaled_dot_product_attention(query, key, value, attn_mask=bias_BHTT)
    else:
        score_BHTT = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5 + bias_BHTT
        a_BHTE = torch.softmax(score_BHTT, dim=-1) @ value
    gated_BTD = block.norm_gated(merge_heads(a_BHTE)) * F.silu(gate_BTD + block.gate_D)
    y_BTD = x_BTD + block.merge(gated_BTD)
    norm = block.norm_feed_forward
    normed_BTD = _norm(y_BTD, kind_BT, (norm.scale_SD, norm.shift_SD), style)
    return y_BTD + _feed_forward(block, normed_BTD, kind_BT, style)


def _bias(block: HSDBlock, pairs: Pairs) -> Tensor:
    """Look the bias of all pairs up, with the mask: [B, H, T, T]."""
    parts = [
        table_HC.index_select(1, classes.flatten()).view(len(table_HC), *classes.shape)
        for table_HC, classes in (
            (block.bias.time_HC, pairs.time_BTT),
            (block.bias.distance_HC, pairs.distance_TT[None]),
        )
    ]
    bias_HBTT = parts[0] + parts[1]
    return bias_HBTT.transpose(0, 1).masked_fill(~pairs.visible_BTT[:, None], float("-inf"))


def _norm(x_BTD: Tensor, kind_BT: Tensor, affine: tuple[Tensor, Tensor], style: Style) -> Tensor:
    """Normalize every token with the scale and shift of its kind."""
    scale_SD, shift_SD = affine
    if style == "strong":
        kind_BT = kind_BT.clamp(max=len(scale_SD) - 1)
        normed_BTD = F.layer_norm(x_BTD, x_BTD.shape[-1:])
        return normed_BTD * F.embedding(kind_BT, scale_SD) + F.embedding(kind_BT, shift_SD)
    out_BTD = torch.zeros_like(x_BTD)
    for kind, (scale_D, shift_D) in enumerate(zip(scale_SD, shift_SD, strict=True)):
        normed_BTD = F.layer_norm(x_BTD, x_BTD.shape[-1:], scale_D, shift_D)
        out_BTD = out_BTD + normed_BTD * (kind_BT == kind)[..., None]
    return out_BTD


def _feed_forward(block: HSDBlock, x_BTD: Tensor, kind_BT: Tensor, style: Style) -> Tensor:
    """Transform every token with the network of its kind."""
    inner_SDD, outer_SDD = block.feed_forward.inner_SDD, block.feed_forward.outer_SDD
    out_BTD = torch.zeros_like(x_BTD)
    for kind, (inner_DD, outer_DD) in enumerate(zip(inner_SDD, outer_SDD, strict=True)):
        is_kind_BT = kind_BT == kind
        if style == "strong":
            out_BTD[is_kind_BT] = _swiglu(x_BTD[is_kind_BT], inner_DD, outer_DD)
        else:
            out_BTD = out_BTD + _swiglu(x_BTD, inner_DD, outer_DD) * is_kind_BT[..., None]
    return out_BTD


def _swiglu(x: Tensor, inner_DD: Tensor, outer_DD: Tensor) -> Tensor:
    """Apply one SwiGLU network."""
    gate, value = (x @ inner_DD).chunk(2, dim=-1)
    return (F.silu(gate) * value) @ outer_DD
