"""A Transformer decoder layer whose rows read the memory of their user.

Several rows (readouts, heads, beams) belong to one user. Their queries are put side by side against
the one set of keys and values of that user, so a memory is projected once and never copied.

Letters: B users, T memory tokens, D width, H attention heads, E head width, N flat rows, P own
positions, S earlier positions, C rows of one user (padded).
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from gpr_core.models.attention import attention, merge_heads, split_heads
from gpr_core.models.config import ModelConfig
from gpr_core.models.feed_forward import Experts, FeedForward
from gpr_core.models.grouping import Grouping, group_rows
from gpr_core.models.path_attention import attend_along_paths


class KeyValue(NamedTuple):
    """Keys and values of one layer.

    Attributes:
        key_NHSE: [N, H, S, E] float.
        value_NHSE: [N, H, S, E] float.
    """

    key_NHSE: Tensor
    value_NHSE: Tensor


class MemoryAccess(NamedTuple):
    """What each row may read of the memory of its user.

    Attributes:
        users: Rows by user.
        visible_BCT: [B, C, T], what the row may read, bool or float as in `attention`; everything
            in empty cells, so that their softmax is not over an empty set. [B, 1, T] where all
            rows of a user may read the same.
    """

    users: Grouping
    visible_BCT: Tensor


def access_memory(row_batch_N: Tensor, visible_NT: Tensor, num_users: int) -> MemoryAccess:
    """Arrange rows by user.

    Args:
        row_batch_N: [N] int64, user of each row.
        visible_NT: [N, T], memory tokens that each row may read, at least one; bool, or float to
            be added to the scores.
        num_users: B.

    Returns:
        The arrangement; C is the largest number of rows of one user.
    """
    users = group_rows(row_batch_N, num_users)
    return MemoryAccess(users, users.spread(visible_NT, empty=visible_NT.dtype == torch.bool))


class DecoderLayer(nn.Module):
    """Self-attention over own positions, cross-attention to the memory, feed-forward.

    Args:
        config: Sizes and dropout.
        reads_memory: False leaves the cross-attention out.
        has_experts: The feed-forward is the mixture of experts of `config`, if there is one.

    Source:
        Specification 3.6; normalization before each part and SwiGLU are our own choice.
    """

    def __init__(self, config: ModelConfig, *, reads_memory: bool, has_experts: bool) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.attention_heads
        self.norm_self = nn.LayerNorm(width)
        self.project_self = nn.Linear(width, 3 * width, bias=False)
        self.merge_self = nn.Linear(width, width, bias=False)
        self.reads_memory = reads_memory
        if reads_memory:
            self.norm_cross = nn.LayerNorm(width)
            self.project_query = nn.Linear(width, width, bias=False)
            self.project_memory = nn.Linear(width, 2 * width, bias=False)
            self.merge_cross = nn.Linear(width, width, bias=False)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.feed_forward = (
            Experts(config)
            if has_experts and config.experts.count
            else FeedForward(width, config.decoder_ffn_multiple)
        )
        self.dropout = nn.Dropout(config.dropout)

    def read_memory(self, memory_BTD: Tensor) -> KeyValue | None:
        """Project the memory to keys and values, once for all rows that read it.

        Args:
            memory_BTD: [B, T, D] float, intent embeddings.

        Returns:
            Keys and values, one row per user; None for a layer that reads no memory.
        """
        if not self.reads_memory:
            return None
        key, value = self.project_memory(memory_BTD).chunk(2, dim=-1)
        return KeyValue(split_heads(key, self.num_heads), split_heads(value, self.num_heads))

    def forward(
        self,
        x_NPD: Tensor,
        *,
        mask_PS: Tensor,
        past: KeyValue | None,
        memory: KeyValue | None,
        access: MemoryAccess,
    ) -> tuple[Tensor, KeyValue]:
        """Apply the layer to P positions of each row.

        Args:
            x_NPD: [N, P, D] float.
            mask_PS: [P, S + P] bool, True where a position sees an earlier or own one.
            past: Keys and values of S earlier positions of each row, None for S = 0.
            memory: What `read_memory` returned.
            access: Which user's memory each row reads, and how much of it.

        Returns:
            [N, P, D] float, and the keys and values of all S + P positions.
        """
        query, key, value = (
            split_heads(part_NPD, self.num_heads)
            for part_NPD in self.project_self(self.norm_self(x_NPD)).chunk(3, dim=-1)
        )
        if past is not None:
            key = torch.cat([past.key_NHSE, key], dim=2)
            value = torch.cat([past.value_NHSE, value], dim=2)
        attended = merge_heads(attention(query, key, value, mask=mask_PS))
        seen = KeyValue(key, value)
        x_NPD = x_NPD + self.dropout(self.merge_self(attended))
        return self._read_and_transform(x_NPD, memory, access), seen

    def step(
        self,
        x_ND: Tensor,
        *,
        shared: KeyValue,
        chain_N2HE: Sequence[Tensor],
        readouts: Grouping,
        memory: KeyValue | None,
        access: MemoryAccess,
    ) -> tuple[Tensor, Tensor]:
        """Apply the layer to the last position of each code path.

        Args:
            x_ND: [N, D] float.
            shared: Keys and values of the positions that all paths of a readout see.
            chain_N2HE: Keys and values [N, 2, H, E] of each earlier own position of the paths.
            readouts: Readout of each path.
            memory: What `read_memory` returned.
            access: Which user's memory each path reads, and how much of it.

        Returns:
            [N, D] float, what `forward` gives for the same positions, and [N, 2, H, E], the keys
            and values of this one.
        """
        parts_N3HE = self.project_self(self.norm_self(x_ND)).view(len(x_ND), 3, self.num_heads, -1)
        query_NHE, own_N2HE = parts_N3HE[:, 0], parts_N3HE[:, 1:]
        chain_N2HE = (*chain_N2HE, own_N2HE)
        attended_NHE = attend_along_paths(query_NHE, shared, chain_N2HE, readouts)
        x_ND = x_ND + self.dropout(self.merge_self(attended_NHE.flatten(1)))
        x_N1D = self._read_and_transform(x_ND[:, None], memory, access)
        return x_N1D[:, 0], own_N2HE

    def _read_and_transform(
        self, x_NPD: Tensor, memory: KeyValue | None, access: MemoryAccess
    ) -> Tensor:
        """Apply what follows the self-attention."""
        if memory is not None:
            x_NPD = x_NPD + self.dropout(self._cross_attend(x_NPD, memory, access))
        transformed_NPD = self.feed_forward(self.norm_feed_forward(x_NPD))
        out_NPD: Tensor = x_NPD + self.dropout(transformed_NPD)
        return out_NPD

    def _cross_attend(self, x_NPD: Tensor, memory: KeyValue, access: MemoryAccess) -> Tensor:
        """Let every position of every row read the memory of its user."""
        users, slots, positions = access.users.groups, access.users.slots, x_NPD.shape[1]
        query_NX = self.project_query(self.norm_cross(x_NPD)).flatten(1)
        query_BQD = access.users.spread(query_NX).view(users, slots * positions, -1)
        mask_BQT = access.visible_BCT
        if mask_BQT.shape[1] > 1:
            mask_BQT = mask_BQT.repeat_interleave(positions, dim=1)
        attended = attention(
            split_heads(query_BQD, self.num_heads),
            memory.key_NHSE,
            memory.value_NHSE,
            mask=mask_BQT[:, None],
        )
        grid_BCX = merge_heads(attended).reshape(users, slots, -1)
        merged: Tensor = self.merge_cross(access.users.gather(grid_BCX).view_as(x_NPD))
        return merged


class DecoderStack(nn.Module):
    """Decoder layers in order.

    Args:
        config: Sizes, the number of layers among them.
        reads_memory: Whether the layers read the memory.
        has_experts: Whether their feed-forward networks are the mixtures of experts of `config`.
    """

    def __init__(self, config: ModelConfig, *, reads_memory: bool, has_experts: bool) -> None:
        super().__init__()
        self.stack = nn.ModuleList(
            DecoderLayer(config, reads_memory=reads_memory, has_experts=has_experts)
            for _ in range(config.ptd_layers)
        )

    @property
    def layers(self) -> list[DecoderLayer]:
        """The layers with their type."""
        return cast("list[DecoderLayer]", list(self.stack))
