"""Self-attention over packed tokens, with the bias it learns from order and time.

Weights are a softmax over the tokens that a query sees, or, pointwise (HSTU), SiLU of each score.
Pointwise weights are not divided by the length of the sequence, as HSTU does: the length would tell
a readout how many tokens follow it, and the normalization behind the attention takes any constant
out again.

Letters: G packed tokens, D width, H attention heads, E head width, C bias classes, U users of one
bundle, T tokens of a bundle, Q queries of a tile, Z flat pairs of head and user, N slots of
bundles, A parts side by side (queries, keys, values), X their columns.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from gpr_core.models.relation import (
    NUM_TIME_CLASSES,
    Bundle,
    Relation,
    Tile,
    slot_distances,
    time_classes,
    visible_pairs,
)

# SiLU and its slope are exactly 0 there; at minus infinity both would be NaN.
_INVISIBLE = -1e4


class RelativeBias(nn.Module):
    """Learned attention bias from token distance and time difference.

    The time part starts at zero, the distance part at -slope log(1 + distance) with another slope
    for each head: heads that look at the latest tokens first find what recent behavior says within
    far fewer updates than heads that start by averaging everything.

    Args:
        num_heads: H.
        max_distance: Distances beyond it share a bias.
    """

    def __init__(self, num_heads: int, max_distance: int) -> None:
        super().__init__()
        distance_C = torch.arange(-max_distance, max_distance + 1).abs().float()
        slope_H = 2.0 ** (1 - torch.arange(num_heads))
        self.distance_HC = nn.Parameter(-slope_H[:, None] * torch.log1p(distance_C))
        self.time_HC = nn.Parameter(torch.zeros(num_heads, NUM_TIME_CLASSES))

    def by_pair_class(self, max_distance: int) -> Tensor:
        """Tabulate the bias of every pair class.

        Args:
            max_distance: Of the relation.

        Returns:
            [H, C] float, -inf for pairs that may not see each other: one gather yields bias and
            mask.
        """
        middle = self.distance_HC.shape[1] // 2
        slots = torch.tensor(slot_distances(max_distance), device=self.time_HC.device) + middle
        distance_HC = self.distance_HC.index_select(1, slots)
        both_HC = (self.time_HC[:, :, None] + distance_HC[:, None, :]).flatten(1)
        return torch.cat([both_HC, both_HC.new_full((len(both_HC), 1), -math.inf)], dim=1)

    def by_pair(self, bundle: Bundle) -> Tensor:
        """Look up the bias of every pair of a bundle, as it is defined.

        Args:
            bundle: Users.

        Returns:
            [H, U, T, T] float, -inf where the query (third axis) may not see the key.
        """
        longest = self.distance_HC.shape[1] // 2
        position_T = torch.arange(bundle.row_UT.shape[1], device=bundle.row_UT.device)
        distance_TT = (position_T[:, None] - position_T).clamp(-longest, longest) + longest
        time_UTT = time_classes(bundle.ts_UT[:, :, None] - bundle.ts_UT[:, None, :])
        bias_HUTT = self.time_HC[:, time_UTT] + self.distance_HC[:, None, distance_TT]
        return bias_HUTT.masked_fill(~visible_pairs(bundle), -math.inf)


def packed_attention(
    qkv_GX: Tensor,
    bias: RelativeBias,
    relation: Relation,
    *,
    is_pointwise: bool = False,
    use_reference: bool = False,
) -> Tensor:
    """Sum values with weights softmax(query key / sqrt(E) + bias), user by user.

    Args:
        qkv_GX: [G, 3 * D] float, queries, keys and values of packed tokens side by side.
        bias: Bias of H heads.
        relation: How the tokens stand to one another, visibility included.
        is_pointwise: SiLU of every score instead of the softmax.
        use_reference: Compute the formula as it is written instead of tile by tile; values and
            gradients agree to rounding.

    Returns:
        [G, D] float.
    """
    num_heads = len(bias.time_HC)
    if not use_reference:
        table_HC = bias.by_pair_class(relation.max_distance)
        # Scores and their softmax stay in the type of the parameters.
        with torch.autocast(qkv_GX.device.type, enabled=False):
            attended: Tensor = _TiledAttention.apply(  # type: ignore[no-untyped-call]
                qkv_GX.to(table_HC.dtype), table_HC, relation, is_pointwise
            )
        return attended
    parts = []
    for bundle in relation.bundles:
        query, key, value = _by_head(qkv_GX, bundle, 3, num_heads)
        score_ZTT = query @ key.transpose(1, 2) / math.sqrt(query.shape[-1])
        score_ZTT = score_ZTT + bias.by_pair(bundle).flatten(0, 1)
        if is_pointwise:
            weight_ZTT = F.silu(score_ZTT.clamp(min=_INVISIBLE))
        else:
            weight_ZTT = torch.softmax(score_ZTT, dim=-1)
        out_HUTE = (weight_ZTT @ value).view(num_heads, len(bundle.row_UT), *value.shape[1:])
        parts.append(out_HUTE.permute(1, 2, 0, 3).flatten(0, 1).flatten(1))
    return torch.cat(parts).index_select(0, relation.slot_G)


class _TiledAttention(torch.autograd.Function):
    """Attention tile by tile.

    The weights of visible pairs are kept for the backward pass (pointwise: their scores): to
    compute them again was measured to take a fifth of the time of the operation.
    """

    @staticmethod
    def forward(
        ctx: Any, qkv_GX: Tensor, table_HC: Tensor, relation: Relation, is_pointwise: bool
    ) -> Tensor:
        """Attend; see `packed_attention`."""
        if is_pointwise:
            table_HC = table_HC.clamp(min=_INVISIBLE)
        num_heads = len(table_HC)
        out_NX = qkv_GX.new_empty(relation.num_slots, qkv_GX.shape[1] // 3)
        kept = []
        for bundle, part_NX in _parts(out_NX, relation):
            query, key, value = _by_head(qkv_GX, bundle, 3, num_heads)
            query = query * query.shape[-1] ** -0.5
            kept += [query, key, value]
            out_HUTE = _view_by_head(part_NX, bundle, 1, num_heads)[0]
            for tile in bundle.tiles:
                score_ZQT = _scores(query, key, table_HC, tile)
                if is_pointwise:
                    kept.append(score_ZQT)
                    weight_ZQT = F.silu(score_ZQT)
                else:
                    weight_ZQT = torch.softmax(score_ZQT, dim=-1, out=score_ZQT)
                    kept.append(weight_ZQT)
                mixed_ZQE = weight_ZQT @ value[:, : tile.end]
                out_HUQE = out_HUTE[:, :, tile.first : tile.last]
                out_HUQE.copy_(mixed_ZQE.view(out_HUQE.shape))
        ctx.save_for_backward(*kept)
        ctx.relation, ctx.table_size, ctx.is_pointwise = relation, table_HC.shape, is_pointwise
        return out_NX.index_select(0, relation.slot_G)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_GD: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Give the gradients of queries, keys and values, and of the table."""
        relation, num_heads = ctx.relation, ctx.table_size[0]
        kept = iter(ctx.saved_tensors)
        grad_table_HC = grad_GD.new_zeros(ctx.table_size)
        grad_NX = grad_GD.new_empty(relation.num_slots, 3 * grad_GD.shape[1])
        for bundle, part_NX in _parts(grad_NX, relation):
            query, key, value = next(kept), next(kept), next(kept)
            grad_ZTE = _by_head(grad_GD, bundle, 1, num_heads)[0]
            grad_3ZTE = query.new_zeros(3, *query.shape)
            grad_query, grad_key, grad_value = grad_3ZTE
            for tile in bundle.tiles:
                saved_ZQT = next(kept)
                weight_ZQT = F.silu(saved_ZQT) if ctx.is_pointwise else saved_ZQT
                rows, seen = slice(tile.first, tile.last), slice(tile.end)
                grad_ZQE = grad_ZTE[:, rows]
                grad_value[:, seen].baddbmm_(weight_ZQT.transpose(1, 2), grad_ZQE)
                grad_weight_ZQT = grad_ZQE @ value[:, seen].transpose(1, 2)
                if ctx.is_pointwise:
                    grad_ZQT = torch.ops.aten.silu_backward(grad_weight_ZQT, saved_ZQT)
                else:
                    grad_ZQT = torch._softmax_backward_data(  # noqa: SLF001
                        grad_weight_ZQT, weight_ZQT, -1, weight_ZQT.dtype
                    )
                grad_table_HC.index_add_(1, tile.class_P, grad_ZQT.view(num_heads, -1))
                grad_query[:, rows] = grad_ZQT @ key[:, seen]
                grad_key[:, seen].baddbmm_(grad_ZQT.transpose(1, 2), query[:, rows])
            grad_query *= query.shape[-1] ** -0.5
            grad_3HUTE = _view_by_head(part_NX, bundle, 3, num_heads)
            grad_3HUTE.copy_(grad_3ZTE.view(grad_3HUTE.shape))
        return grad_NX.index_select(0, relation.slot_G), grad_table_HC, None, None


def _scores(query_ZTE: Tensor, key_ZTE: Tensor, table_HC: Tensor, tile: Tile) -> Tensor:
    """Compute the attention scores of one tile: [Z, Q, T]."""
    rows = tile.last - tile.first
    score_ZQT = table_HC.index_select(1, tile.class_P).view(len(query_ZTE), rows, tile.end)
    query_ZQE = query_ZTE[:, tile.first : tile.last]
    return score_ZQT.baddbmm_(query_ZQE, key_ZTE[:, : tile.end].transpose(1, 2))


def _parts(x_NX: Tensor, relation: Relation) -> Iterator[tuple[Bundle, Tensor]]:
    """Go through the bundles with their slots of a tensor."""
    sizes = [bundle.row_UT.numel() for bundle in relation.bundles]
    yield from zip(relation.bundles, torch.split(x_NX, sizes), strict=True)


def _by_head(x_GX: Tensor, bundle: Bundle, num_parts: int, num_heads: int) -> Tensor:
    """Take the users of a bundle out of packed rows: [num_parts, Z, T, E], zeros on padding."""
    x_NX = x_GX.index_select(0, bundle.row_UT.flatten())
    if bundle.is_padding_UT is not None:
        x_NX = x_NX.masked_fill(bundle.is_padding_UT.flatten()[:, None], 0.0)
    x_AHUTE = _view_by_head(x_NX, bundle, num_parts, num_heads)
    return x_AHUTE.reshape(num_parts, -1, *x_AHUTE.shape[3:])


def _view_by_head(x_NX: Tensor, bundle: Bundle, num_parts: int, num_heads: int) -> Tensor:
    """View the slots of a bundle as [num_parts, H, U, T, E]."""
    users, length = bundle.row_UT.shape
    return x_NX.view(users, length, num_parts, num_heads, -1).permute(2, 3, 0, 1, 4)
