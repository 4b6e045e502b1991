"""Heterogeneous Sequence-wise Decoder: from the token sequence to intent embeddings.

Letters: B users, T tokens, D width, H attention heads, E head width, G packed tokens.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.models.attention import (
    Relation,
    RelativeBias,
    attention,
    merge_heads,
    split_heads,
)
from gpr_core.models.config import ModelConfig
from gpr_core.models.token_aware import (
    TokenAwareFeedForward,
    TokenAwareNorm,
    TokenGroups,
    pack,
    unpack,
)


class HSDBlock(nn.Module):
    """One HSTU block with hybrid attention, token-aware normalization and feed-forward.

        Z  = TLN_attn(X);  Q, K, V = Z W;  U = SiLU(Z W_u + b_u)
        A  = softmax(Q K / sqrt(E) + bias + mask) V
        Y  = X + W_o (LN(A) * U)
        X' = Y + TFFN(TLN_ffn(Y))

    The text of the paper lets U modulate the attention weights; Eq 1 multiplies the attended
    values. The equation is built.

    Args:
        config: Sizes and switches.

    Source:
        Paper Eq 1; specification 3.2.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.num_heads = config.attention_heads
        self.norm_attention = TokenAwareNorm(width, is_token_aware=config.token_aware_norm)
        self.project = nn.Linear(width, 4 * width, bias=False)
        # Gates start open (SiLU(1) = 0.73): around 0 they would mute the attended values.
        self.gate_D = nn.Parameter(torch.ones(width))
        self.bias = RelativeBias(config.attention_heads, config.max_distance)
        self.norm_gated = nn.LayerNorm(width) if config.norm_before_gate else nn.Identity()
        self.merge = nn.Linear(width, width, bias=False)
        self.norm_feed_forward = TokenAwareNorm(width, is_token_aware=config.token_aware_norm)
        self.feed_forward = TokenAwareFeedForward(
            width, config.ffn_multiple, is_token_aware=config.token_aware_ffn
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x_GD: Tensor,
        groups: TokenGroups,
        relation: Relation,
        source_GD: Tensor | None = None,
    ) -> Tensor:
        """Apply the block.

        Args:
            x_GD: [G, D] float, packed tokens.
            groups: Groups of the batch.
            relation: Bias classes of all pairs, visibility included.
            source_GD: [G, D] float, states of the same tokens that keys and values are made from;
                None for `x_GD` itself.

        Returns:
            [G, D] float.
        """
        width = x_GD.shape[1]
        z_GD = self.project(self.norm_attention(x_GD, groups))
        qkv_G3D, gate_GD = z_GD.split([3 * width, width], dim=-1)
        if source_GD is not None:
            weight_XD = self.project.weight[width : 3 * width]
            kv_G2D = F.linear(self.norm_attention(source_GD, groups), weight_XD)
            qkv_G3D = torch.cat([qkv_G3D[:, :width], kv_G2D], dim=1)
        query, key, value = (
            split_heads(part_BTD, self.num_heads)
            for part_BTD in unpack(qkv_G3D, groups).chunk(3, dim=-1)
        )
        attended_BHTE = attention(query, key, value, mask=self.bias(relation))
        attended_GD = pack(merge_heads(attended_BHTE), groups)
        gated_GD = self.norm_gated(attended_GD) * F.silu(gate_GD + self.gate_D)
        y_GD = x_GD + self.dropout(self.merge(gated_GD))
        fed_GD = self.feed_forward(self.norm_feed_forward(y_GD, groups), groups)
        out_GD: Tensor = y_GD + self.dropout(fed_GD)
        return out_GD


class HSD(nn.Module):
    """A stack of HSD blocks and a last normalization.

    Args:
        config: Sizes and switches.

    Source:
        Paper section 2.2; the last normalization is our own, because the residual stream of the
        blocks is not normalized and three modules read it.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(HSDBlock(config) for _ in range(config.hsd_layers))
        self.norm_out = TokenAwareNorm(config.width, is_token_aware=config.token_aware_norm)

    def forward(self, x_GD: Tensor, groups: TokenGroups, relation: Relation) -> Tensor:
        """Understand the sequence.

        Args:
            x_GD: [G, D] float, embedded tokens, packed.
            groups: Groups of the batch.
            relation: Bias classes of all pairs, visibility included.

        Returns:
            [B, T, D] float, intent embeddings; zeros on padding.
        """
        for block in self.blocks:
            x_GD = block(x_GD, groups, relation)
        return unpack(self.norm_out(x_GD, groups), groups)
