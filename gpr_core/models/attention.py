"""Softmax attention over padded rows as one operation.

Letters: B users or rows, T tokens that look (queries), S tokens that are seen (keys), H attention
heads, E head width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


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
