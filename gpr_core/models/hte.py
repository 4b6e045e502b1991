"""Hierarchical Token-wise Evaluator: values of prefixes and of whole items.

Its inputs are detached, so no value loss reaches the rest of the model, unless a supervised
training opens them on purpose. Reinforcement learning never does.

Letters: D width, L levels, V codes, F ad features, M flat rows (readouts), N flat rows (prefixes or
items), P codes of a prefix, X item heads.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.data.tables import TokenKind
from gpr_core.features.fields import FIELDS
from gpr_core.models.config import ModelConfig

AD_FIELDS = ("bid_type", "price_bucket", "ad_age_bucket", "category", "brand")
_NUM_ITEM_HEADS = 3


class ItemValues(NamedTuple):
    """Predicted outcomes of showing items.

    Attributes:
        p_ctr_N: [N] float, probability of a click.
        p_cvr_N: [N] float, probability of a conversion after a click.
        p_ctcvr_N: [N] float, probability of a click and a conversion; never above `p_ctr_N`.
        p_neg_N: [N] float, probability of a hide.
        ctr_logit_N: [N] float.
        cvr_logit_N: [N] float.
        neg_logit_N: [N] float.
    """

    p_ctr_N: Tensor
    p_cvr_N: Tensor
    p_ctcvr_N: Tensor
    p_neg_N: Tensor
    ctr_logit_N: Tensor
    cvr_logit_N: Tensor
    neg_logit_N: Tensor


class HTE(nn.Module):
    """Value of a state after each number of codes, and outcome probabilities of items.

    A first layer is linear in the state and in each code, so the state part is computed once per
    readout and a code costs one look-up, for one prefix as for all children of it.

    Args:
        config: Sizes.
        codebook_sizes: V of each level.

    Source:
        Paper sections 2.2 and 3.3 (V of stopgrad(h)); specification 3.8.
    """

    def __init__(self, config: ModelConfig, codebook_sizes: Sequence[int]) -> None:
        super().__init__()
        width = config.width
        self.width = width
        self.norm = nn.LayerNorm(3 * width)
        self.value_state = nn.Linear(3 * width, width)
        # Values exist for 0..L-1 codes: a complete path ends the episode, its ad has item values.
        self.value_length_PD = nn.Parameter(torch.zeros(len(codebook_sizes), width))
        self.value_codes = _tables(codebook_sizes[:-1], width)
        self.value_inner = nn.Linear(width, width)
        self.value_out = nn.Linear(width, 1)
        self.item_state = nn.Linear(3 * width, _NUM_ITEM_HEADS * width)
        self.item_codes = _tables(codebook_sizes, _NUM_ITEM_HEADS * width)
        sizes = {field.name: field.size for field in FIELDS[TokenKind.ITEM]}
        self.item_fields = _tables([sizes[name] for name in AD_FIELDS], _NUM_ITEM_HEADS * width)
        self.item_inner_XDD = nn.Parameter(
            torch.empty(_NUM_ITEM_HEADS, width, width).uniform_(-(width**-0.5), width**-0.5)
        )
        self.item_out_XD = nn.Parameter(torch.zeros(_NUM_ITEM_HEADS, width))
        self.item_bias_X = nn.Parameter(torch.zeros(_NUM_ITEM_HEADS))

    def state(
        self,
        readout_MD: Tensor,
        intent_MD: Tensor,
        refined_MD: Tensor,
        gradient_share: float = 0.0,
    ) -> Tensor:
        """Collect what values depend on, cut off from its gradient.

        Args:
            readout_MD: [M, D] float, h.
            intent_MD: [M, D] float, c.
            refined_MD: [M, D] float, r.
            gradient_share: Share of the gradient of value losses that is let through, in [0, 1].

        Returns:
            [M, 3 * D] float; without gradient at a share of 0.
        """
        state_MX = torch.cat([readout_MD, intent_MD, refined_MD], dim=1)
        cut_MX = state_MX.detach()
        return cut_MX if gradient_share == 0.0 else torch.lerp(cut_MX, state_MX, gradient_share)

    def prefix_values(self, state_MX: Tensor, rows_N: Tensor, codes_NP: Tensor) -> Tensor:
        """Value of states after P codes.

        Args:
            state_MX: [M, 3 * D] float, from `state`.
            rows_N: [N] int64, readout of each prefix.
            codes_NP: [N, P] int64, its codes, 0 <= P < L.

        Returns:
            [N] float, in units of the standardized final value.
        """
        values_N: Tensor = self._value_head(self._prefix_hidden(state_MX, rows_N, codes_NP))
        return values_N

    def item_values(
        self, state_MX: Tensor, rows_N: Tensor, paths_NL: Tensor, ad_features_NF: Tensor
    ) -> ItemValues:
        """Predict outcomes of showing items.

        Args:
            state_MX: [M, 3 * D] float, from `state`.
            rows_N: [N] int64, readout of each item.
            paths_NL: [N, L] int64, its code path.
            ad_features_NF: [N, 5] int64, in the order of `AD_FIELDS`.

        Returns:
            Probabilities and logits of click, conversion and hide.
        """
        hidden_NY = self.item_state(self.norm(state_MX)).index_select(0, rows_N)
        for level, table in enumerate(self.item_codes):
            hidden_NY = hidden_NY + F.embedding(paths_NL[:, level], table)
        for idx, table in enumerate(self.item_fields):
            hidden_NY = hidden_NY + F.embedding(ad_features_NF[:, idx], table)
        hidden_XND = F.silu(hidden_NY).view(-1, _NUM_ITEM_HEADS, self.width).transpose(0, 1)
        inner_XND = F.silu(hidden_XND @ self.item_inner_XDD)
        logit_XN = (inner_XND @ self.item_out_XD[:, :, None])[..., 0] + self.item_bias_X[:, None]
        p_ctr_N, p_cvr_N, p_neg_N = torch.sigmoid(logit_XN)
        return ItemValues(p_ctr_N, p_cvr_N, p_ctr_N * p_cvr_N, p_neg_N, *logit_XN)

    def _prefix_hidden(self, state_MX: Tensor, rows_N: Tensor, codes_NP: Tensor) -> Tensor:
        """First layer of the value network before its activation, [N, D]."""
        state_MD = self.value_state(self.norm(state_MX))
        hidden_ND: Tensor = state_MD.index_select(0, rows_N)
        hidden_ND = hidden_ND + self.value_length_PD[codes_NP.shape[1]]
        for level in range(codes_NP.shape[1]):
            hidden_ND = hidden_ND + F.embedding(codes_NP[:, level], self.value_codes[level])
        return hidden_ND

    def _value_head(self, hidden: Tensor) -> Tensor:
        """Rest of the value network: [..., D] to [...]."""
        value: Tensor = self.value_out(F.silu(self.value_inner(F.silu(hidden))))[..., 0]
        return value


def _tables(sizes: Sequence[int], width: int) -> nn.ParameterList:
    """Make small embedding tables, whose sum starts well below the state part."""
    return nn.ParameterList(0.1 * torch.randn(size, width) for size in sizes)
