"""Heterogeneous Sequence-wise Decoder: from the token sequence to intent embeddings.

Letters: B users, T tokens, D width, E head width, G packed tokens, X queries, keys and values side
by side.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.models.config import ModelConfig
from gpr_core.models.packed_attention import RelativeBias, packed_attention
from gpr_core.models.products import multiply
from gpr_core.models.relation import Relation
from gpr_core.models.token_aware import (
    TokenAwareFeedForward,
    TokenAwareNorm,
    TokenGroups,
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
            relation: How the tokens stand to one another, visibility included.
            source_GD: [G, D] float, states of the same tokens that keys and values are made from;
                None for `x_GD` itself.

        Returns:
            [G, D] float.
        """
        width = x_GD.shape[1]
        query_XD, key_value_XD, gate_XD = torch.split(
            self.project.weight, [width, 2 * width, width]
        )
        z_GD = self.norm_attention(x_GD, groups)
        if source_GD is None:
            qkv_GX = multiply(z_GD, self.project.weight[: 3 * width])
        else:
            source_GD = self.norm_attention(source_GD, groups)
            qkv_GX = torch.cat([multiply(z_GD, query_XD), multiply(source_GD, key_value_XD)], dim=1)
        attended_GD = packed_attention(qkv_GX, self.bias, relation)
        gate_GD = multiply(z_GD, gate_XD) + self.gate_D
        gated_GD = self.norm_gated(attended_GD) * F.silu(gate_GD)
        y_GD = x_GD + self.dropout(multiply(gated_GD, self.merge.weight))
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
            relation: How the tokens stand to one another, visibility included.

        Returns:
            [B, T, D] float, intent embeddings; zeros on padding.
        """
        for block in self.blocks:
            x_GD = block(x_GD, groups, relation)
        return unpack(self.norm_out(x_GD, groups), groups)
