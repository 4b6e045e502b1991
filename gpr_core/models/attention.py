"""Softmax attention as one operation, and the bias it learns from order and time.

Letters: B users or rows, T tokens that look (queries), S tokens that are seen (keys), H attention
heads, E head width, C bias classes.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MINUTE_MS = 60_000
_TIME_CLASSES = 64
_INVISIBLE = _TIME_CLASSES


def attention(
    query_BHTE: Tensor,
    key_BHSE: Tensor,
    value_BHSE: Tensor,
    *,
    mask: Tensor,
    use_reference: bool = False,
) -> Tensor:
    """Average values with weights softmax(query key / sqrt(E) + mask).

    Args:
        query_BHTE: [B, H, T, E] float.
        key_BHSE: [B, H, S, E] float.
        value_BHSE: [B, H, S, E] float.
        mask: Broadcastable to [B, H, T, S]; bool, True = visible, or float, added to the scores
            with -inf = invisible. Every query must see at least one key.
        use_reference: Compute the formula as it is written instead of with torch's fused kernel;
            values and gradients agree to rounding.

    Returns:
        [B, H, T, E] float.
    """
    if not use_reference:
        return F.scaled_dot_product_attention(query_BHTE, key_BHSE, value_BHSE, attn_mask=mask)
    score_BHTS = query_BHTE @ key_BHSE.transpose(-1, -2) / math.sqrt(query_BHTE.shape[-1])
    if mask.dtype == torch.bool:
        score_BHTS = score_BHTS.masked_fill(~mask, float("-inf"))
    else:
        score_BHTS = score_BHTS + mask
    return torch.softmax(score_BHTS, dim=-1) @ value_BHSE


def split_heads(x_BTD: Tensor, num_heads: int) -> Tensor:
    """Cut the width into attention heads.

    Args:
        x_BTD: [B, T, D] float.
        num_heads: H, a divisor of D.

    Returns:
        [B, H, T, E] float, a view.
    """
    return x_BTD.view(*x_BTD.shape[:2], num_heads, -1).transpose(1, 2)


def merge_heads(x_BHTE: Tensor) -> Tensor:
    """Put the attention heads side by side again.

    Args:
        x_BHTE: [B, H, T, E] float.

    Returns:
        [B, T, D] float.
    """
    return x_BHTE.transpose(1, 2).flatten(2)


class Relation(NamedTuple):
    """What the bias between two tokens depends on, computed once for all blocks.

    Attributes:
        distance_TT: [T, T] int64, class of the signed distance in tokens.
        time_BTT: [B, T, T] int64, class of the signed time difference, or the class of pairs that
            may not see each other.
    """

    distance_TT: Tensor
    time_BTT: Tensor


def relate(ts_BT: Tensor, visible_BTT: Tensor, max_distance: int) -> Relation:
    """Classify all pairs of tokens by distance, time difference and visibility.

    Args:
        ts_BT: [B, T] int64, epoch ms.
        visible_BTT: [B, T, T] bool, True where query i may see key j.
        max_distance: Distances beyond it share a class.

    Returns:
        The classes. The time class is floor(log2(1 + |dt| / 60 s)), clipped to 31, plus 32 if the
        key lies in the future of the query (bidirectional pairs have both signs).

    Source:
        Specification 3.2 (bias).
    """
    position_T = torch.arange(ts_BT.shape[1], device=ts_BT.device)
    distance_TT = position_T[:, None] - position_T[None, :]
    delta_BTT = ts_BT[:, :, None] - ts_BT[:, None, :]
    # Whole minutes give the same class as exact ones, because powers of two are whole; frexp then
    # finds it without the rounding of a logarithm.
    minutes_BTT = (delta_BTT.abs() // _MINUTE_MS + 1).to(torch.float32)
    half = _TIME_CLASSES // 2
    class_BTT = (torch.frexp(minutes_BTT).exponent.long() - 1).clamp(max=half - 1)
    class_BTT = class_BTT + half * (delta_BTT < 0)
    return Relation(
        distance_TT=distance_TT.clamp(-max_distance, max_distance) + max_distance,
        time_BTT=class_BTT.masked_fill(~visible_BTT, _INVISIBLE),
    )


def hide_keys(relation: Relation, is_hidden_BT: Tensor) -> Relation:
    """Make some tokens invisible to all others.

    Args:
        relation: Classes of all pairs.
        is_hidden_BT: [B, T] bool; a hidden token still sees itself, so that no row is empty.

    Returns:
        The changed classes.
    """
    itself_TT = torch.eye(is_hidden_BT.shape[1], dtype=torch.bool, device=is_hidden_BT.device)
    hidden_BTT = is_hidden_BT[:, None, :] & ~itself_TT
    return relation._replace(time_BTT=relation.time_BTT.masked_fill(hidden_BTT, _INVISIBLE))


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
        self.time_HC = nn.Parameter(torch.zeros(num_heads, _TIME_CLASSES))

    def forward(self, relation: Relation) -> Tensor:
        """Look up the bias of every pair.

        Args:
            relation: Classes of the pairs.

        Returns:
            [B, H, T, T] float, -inf where the query may not see the key.
        """
        # The mask is one more class with bias -inf: one gather yields bias and mask.
        invisible_H1 = self.time_HC.new_full((self.time_HC.shape[0], 1), float("-inf"))
        table_HC = torch.cat([self.time_HC, invisible_H1], dim=1)
        time_HBTT = _look_up(table_HC, relation.time_BTT)
        distance_HTT = _look_up(self.distance_HC, relation.distance_TT)
        return (time_HBTT + distance_HTT[:, None]).transpose(0, 1)


def _look_up(table_HC: Tensor, classes: Tensor) -> Tensor:
    """Gather one column per class; along the second axis, where its gradient is cheap."""
    return table_HC.index_select(1, classes.flatten()).view(len(table_HC), *classes.shape)
