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
    values. The equation is built. Pointwise attention without feed-forward is HSTU itself; softmax
    without gate is the block of a plain Transformer.

    Args:
        config: Sizes and switches.

    Source:
        Paper Eq 1; specification 3.2.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        self.is_pointwise = config.attention == "pointwise"
        self.is_gated = config.gated
        self.norm_attention = TokenAwareNorm(width, is_token_aware=config.token_aware_norm)
        self.project = nn.Linear(width, (4 if config.gated else 3) * width, bias=False)
        if config.gated:
            # Gates start open (SiLU(1) = 0.73): around 0 they would mute the attended values.
            self.gate_D = nn.Parameter(torch.ones(width))
            self.norm_gated = nn.LayerNorm(width) if config.norm_before_gate else nn.Identity()
        self.bias = RelativeBias(config.attention_heads, config.max_distance)
        self.merge = nn.Linear(width, width, bias=False)
        self.feeds = config.ffn_multiple > 0
        if self.feeds:
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
        z_GD = self.norm_attention(x_GD, groups)
        qkv_GX = self._project(z_GD, groups, source_GD)
        attended_GD = packed_attention(qkv_GX, self.bias, relation, is_pointwise=self.is_pointwise)
        if self.is_gated:
            gate_GD = multiply(z_GD, self.project.weight[3 * z_GD.shape[1] :]) + self.gate_D
            attended_GD = self.norm_gated(attended_GD) * F.silu(gate_GD)
        y_GD: Tensor = x_GD + self.dropout(multiply(attended_GD, self.merge.weight))
        if not self.feeds:
            return y_GD
        fed_GD = self.feed_forward(self.norm_feed_forward(y_GD, groups), groups)
        out_GD: Tensor = y_GD + self.dropout(fed_GD)
        return out_GD

    def _project(self, z_GD: Tensor, groups: TokenGroups, source_GD: Tensor | None) -> Tensor:
        """Make queries, keys and values, [G, 3 * D]."""
        width = z_GD.shape[1]
        weight_XD = self.project.weight[: 3 * width]
        if source_GD is None:
            qkv_GX = multiply(z_GD, weight_XD)
        else:
            source_GD = self.norm_attention(source_GD, groups)
            query_XD, key_value_XD = torch.split(weight_XD, [width, 2 * width])
            qkv_GX = torch.cat([multiply(z_GD, query_XD), multiply(source_GD, key_value_XD)], dim=1)
        return F.silu(qkv_GX) if self.is_pointwise else qkv_GX


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
