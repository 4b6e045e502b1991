"""Encoders of item sequences: SASRec and HSTU.

Sequences are left-aligned, so that no token sees the padding behind it.

Letters: B users, T items of a sequence, A items, D width, H attention heads, E width of a head.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.models.attention import merge_heads, split_heads
from gpr_core.sequential.sequences import Histories
from gpr_core.support.shapes import check_range

# Small embeddings let the first updates decide what items have in common.
_INIT_SCALE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """Sizes that all encoders share; the defaults are those of eSASRec's small models."""

    width: int = 64
    """Width D of items and states; a multiple of `attention_heads`."""
    blocks: int = 1
    """Blocks on top of each other."""
    attention_heads: int = 2
    """Attention heads H."""
    dropout: float = 0.5
    """Share of values dropped after embedding and in every branch, in training. [0, 0.9]."""
    max_items: int = 50
    """Latest items T that are read."""

    def __post_init__(self) -> None:
        """Check ranges."""
        for name, low, high in (
            ("width", 4, 4096),
            ("blocks", 1, 64),
            ("attention_heads", 1, 64),
            ("dropout", 0.0, 0.9),
            ("max_items", 1, 65536),
        ):
            check_range(name, getattr(self, name), low, high)


class SasrecBlock(nn.Module):
    """Causal softmax attention and a feed-forward network, each after a normalization.

    Args:
        config: Sizes.

    Source:
        Kang and McAuley, Self-Attentive Sequential Recommendation (2018), with the normalization
        in front of each branch.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.attention_heads
        self.norm_attention = nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Apply the block.

        Args:
            x_BTD: [B, T, D] float.

        Returns:
            [B, T, D] float.
        """
        query, key, value = (
            split_heads(part_BTD, self.num_heads)
            for part_BTD in self.project(self.norm_attention(x_BTD)).chunk(3, dim=-1)
        )
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x_BTD = x_BTD + self.dropout(self.merge(merge_heads(attended)))
        hidden_BTD = self.dropout(F.relu(self.inner(self.norm_feed_forward(x_BTD))))
        out_BTD: Tensor = x_BTD + self.dropout(self.outer(hidden_BTD))
        return out_BTD


class HstuBlock(nn.Module):
    """Pointwise aggregated attention, gated; no softmax and no feed-forward network.

    Args:
        config: Sizes.

    Source:
        Zhai et al., Actions Speak Louder than Words (2024), equations 2 to 4; specification 3.2.
        Scores are divided by the longest sequence, so that padding does not change them.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.attention_heads
        self.norm_in = nn.LayerNorm(width)
        self.project = nn.Linear(width, 4 * width)
        self.norm_attended = nn.LayerNorm(width)
        self.merge = nn.Linear(width, width)
        self.bias_HT = nn.Parameter(torch.zeros(config.attention_heads, config.max_items))
        self.dropout = nn.Dropout(config.dropout)
        self.longest = config.max_items

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Apply the block.

        Args:
            x_BTD: [B, T, D] float, T at most `max_items`.

        Returns:
            [B, T, D] float.
        """
        gate, *rest = F.silu(self.project(self.norm_in(x_BTD))).chunk(4, dim=-1)
        query, key, value = (split_heads(part_BTD, self.num_heads) for part_BTD in rest)
        position_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
        distance_TT = position_T[:, None] - position_T[None, :]
        score_BHTT = query @ key.transpose(-1, -2) + self.bias_HT[:, distance_TT.clamp(min=0)]
        weight_BHTT = F.silu(score_BHTT).masked_fill(distance_TT < 0, 0.0) / self.longest
        attended_BTD = merge_heads(weight_BHTT @ value)
        gated_BTD = self.dropout(self.norm_attended(attended_BTD) * gate)
        out_BTD: Tensor = x_BTD + self.merge(gated_BTD)
        return out_BTD


class ItemEncoder(nn.Module):
    """Item and position embeddings, blocks, a last normalization.

    Weights are drawn from torch's global stream.

    Args:
        num_items: Items A.
        config: Sizes.
        make_block: Makes one block.
    """

    def __init__(
        self,
        num_items: int,
        config: EncoderConfig,
        make_block: Callable[[EncoderConfig], nn.Module],
    ) -> None:
        super().__init__()
        scale = _INIT_SCALE * config.width**-0.5
        self.item_AD = nn.Parameter(torch.randn(num_items, config.width) * scale)
        self.position_TD = nn.Parameter(torch.randn(config.max_items, config.width) * scale)
        self.blocks = nn.ModuleList(make_block(config) for _ in range(config.blocks))
        self.norm_out = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.max_items = config.max_items

    def forward(self, item_BT: Tensor) -> Tensor:
        """Read sequences.

        Args:
            item_BT: [B, T] int64, left-aligned, -1 behind the end; T at most `max_items`.

        Returns:
            [B, T, D] float; rows behind the end mean nothing.
        """
        embedded_BTD = F.embedding(item_BT.clamp(min=0), self.item_AD)
        x_BTD = self.dropout(embedded_BTD + self.position_TD[: item_BT.shape[1]])
        for block in self.blocks:
            x_BTD = block(x_BTD)
        state_BTD: Tensor = self.norm_out(x_BTD)
        return state_BTD


def last_states(state_BTD: Tensor, history: Histories) -> Tensor:
    """Take the state after the last item of every user.

    Args:
        state_BTD: [B, T, D] float, states of `history.latest`.
        history: Sequences of B users, none of them empty.

    Returns:
        [B, D] float.
    """
    last_B = torch.from_numpy(np.minimum(history.lengths, state_BTD.shape[1]) - 1)
    return state_BTD[torch.arange(len(last_B)), last_B]
