"""Copying from history: codes of ads that the user was shown before get a bonus.

People are shown the same ads again, and a decoder has to learn from many examples to repeat the
codes of one token of its memory level by level. Here every head gives every shown ad a weight by
attention, and a code gets a bonus for the weight of the shown ads whose path goes on with it:

    mass_j(v | prefix) = sum of w_jt over shown ads t with codes (prefix, v)
    logit_j(v) += strength_j * log(1 + mass_j(v | prefix) / 0.01)

Not in the paper; a pointer network (See et al., 2017) on paths of a tree.

Letters: B users, T tokens, S shown ads of a user (padded), L levels, D width, J heads, M flat rows
(readouts), N flat rows (prefixes), P codes of a prefix, V codes, C distances, X columns.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from gpr_core.data.tables import TokenKind
from gpr_core.features.batch import TimelineBatch
from gpr_core.models.config import ModelConfig

_SMALLEST_MASS = 0.01


class ShownAds(NamedTuple):
    """What may be copied at each readout.

    Attributes:
        weight_MJS: [M, J, S] float, weight of each shown ad of the user for each head; 0 after the
            readout.
        sid_BSL: [B, S, L] int64, codes of the shown ads of each user, any codes at padding.
        row_batch_M: [M] int64, user of each readout.
    """

    weight_MJS: Tensor
    sid_BSL: Tensor
    row_batch_M: Tensor


class HistoryCopy(nn.Module):
    """Weighs the ads that a user was shown, and turns the weights into bonuses of codes.

    Args:
        config: Sizes and switches.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.width
        # Heads that copied the same ads would not cover different interests (T06).
        self.query = nn.Linear(width, config.num_heads * width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        # The latest ads are the likeliest to come again.
        distance_C = -torch.log1p(torch.arange(config.max_distance + 1.0))
        self.distance_JC = nn.Parameter(distance_C.repeat(config.num_heads, 1))
        self.strength_J = nn.Parameter(torch.ones(config.num_heads))

    def weigh(
        self,
        batch: TimelineBatch,
        intent_MD: Tensor,
        memory_BTD: Tensor,
        row_batch_M: Tensor,
        position_M: Tensor,
    ) -> ShownAds:
        """Weigh the shown ads at each readout.

        Args:
            batch: Timelines.
            intent_MD: [M, D] float, intent at each readout.
            memory_BTD: [B, T, D] float, intent embeddings.
            row_batch_M: [M] int64, user of each readout.
            position_M: [M] int64, position of each readout.

        Returns:
            Weights that sum to 1 per head, or to 0 for a readout before any ad.
        """
        is_ad_BT = (batch.kind_BT == TokenKind.ITEM) & batch.has_sid_BT
        most = max(int(is_ad_BT.sum(dim=1).max()), 1)
        place_BS = torch.argsort(~is_ad_BT, dim=1, stable=True)[:, :most]
        ad_BSD = memory_BTD.gather(1, place_BS[..., None].expand(-1, -1, memory_BTD.shape[2]))
        key_BSD = self.key(ad_BSD) * memory_BTD.shape[2] ** -0.5
        query_MJD = self.query(intent_MD).unflatten(1, (len(self.strength_J), -1))
        place_MS = place_BS[row_batch_M]
        distance_MS = (position_M[:, None] - place_MS).clamp(0, self.distance_JC.shape[1] - 1)
        score_MJS = query_MJD @ key_BSD[row_batch_M].transpose(1, 2)
        score_MJS = score_MJS + self.distance_JC[:, distance_MS].transpose(0, 1)
        is_past_MS = is_ad_BT.gather(1, place_BS)[row_batch_M] & (place_MS < position_M[:, None])
        lowest = torch.finfo(score_MJS.dtype).min
        weight_MJS = torch.softmax(score_MJS.masked_fill(~is_past_MS[:, None], lowest), dim=2)
        weight_MJS = weight_MJS * is_past_MS[:, None]
        sid_BTL = batch.sid_BTL
        sid_BSL = sid_BTL.gather(1, place_BS[..., None].expand(-1, -1, sid_BTL.shape[2]))
        return ShownAds(weight_MJS, sid_BSL, row_batch_M)

    def bonus(
        self, shown: ShownAds, rows_N: Tensor, heads_N: Tensor, codes_NP: Tensor, size: int
    ) -> Tensor:
        """Give the bonus of every next code after prefixes.

        Args:
            shown: From `weigh`.
            rows_N: [N] int64, readout of each prefix.
            heads_N: [N] int64, head that generates it.
            codes_NP: [N, P] int64, its codes.
            size: V of the next level.

        Returns:
            [N, V] float, 0 where no shown ad goes on with the code.
        """
        level, batch_N = codes_NP.shape[1], shown.row_batch_M[rows_N]
        sid_NSX = shown.sid_BSL[:, :, : level + 1].index_select(0, batch_N)
        is_match_NS = (sid_NSX[:, :, :level] == codes_NP[:, None]).all(dim=2)
        node_N = rows_N * len(self.strength_J) + heads_N
        mass_NS = shown.weight_MJS.flatten(0, 1).index_select(0, node_N) * is_match_NS
        mass_NV = mass_NS.new_zeros(len(rows_N), size).scatter_add(1, sid_NSX[:, :, level], mass_NS)
        return self.strength_J[heads_N][:, None] * torch.log1p(mass_NV / _SMALLEST_MASS)
