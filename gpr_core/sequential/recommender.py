"""Recommenders that score items by the product of a state and item vectors.

Letters: B users, T items of a sequence, M predicted interactions, A items, D width.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gpr_core.sequential.encoders import ItemEncoder, last_states
from gpr_core.sequential.ranking import Scores
from gpr_core.sequential.sequences import Histories
from gpr_core.sequential.softmax_loss import softmax_loss

Objective = Literal["softmax", "sampled_softmax"]

_NUM_NEGATIVES = 1024


class Recommender(nn.Module):
    """An encoder whose item vectors also score.

    Args:
        encoder: Reads sequences.
        objective: Cross-entropy over all items, or over the target and items drawn uniformly, the
            same for the whole batch.
    """

    def __init__(self, encoder: ItemEncoder, objective: Objective) -> None:
        super().__init__()
        self.encoder = encoder
        self._objective = objective

    def loss(self, item_BT: Tensor, generator: torch.Generator) -> Tensor:
        """Predict every item from those before it.

        Args:
            item_BT: [B, T + 1] int64, left-aligned, -1 behind the end.
            generator: Draws the negatives.

        Returns:
            [] float, mean over the predicted items.
        """
        next_BT = item_BT[:, 1:]
        is_target_BT = next_BT >= 0
        state_MD = self.encoder(item_BT[:, :-1])[is_target_BT]
        target_M = next_BT[is_target_BT]
        if self._objective == "softmax":
            return softmax_loss(state_MD, self.encoder.item_AD, target_M)
        return _sampled_loss(state_MD, self.encoder.item_AD, target_M, generator)

    @torch.no_grad()
    def score(self, history: Histories) -> Scores:
        """Score every item as the next one.

        Args:
            history: Sequences of B users, none of them empty.

        Returns:
            [B, A] float32.
        """
        item_BT = torch.from_numpy(history.latest(self.encoder.max_items))
        state_BD = last_states(self.encoder(item_BT), history)
        scores: Scores = (state_BD @ self.encoder.item_AD.T).numpy()
        return scores


def _sampled_loss(
    state_MD: Tensor, item_AD: Tensor, target_M: Tensor, generator: torch.Generator
) -> Tensor:
    """Cross-entropy over the target and shared negatives; the target is none of its negatives."""
    negative_N = torch.randint(len(item_AD), (_NUM_NEGATIVES,), generator=generator)
    target_score_M1 = (state_MD * item_AD[target_M]).sum(1, keepdim=True)
    score_MN = state_MD @ item_AD[negative_N].T
    score_MN = score_MN.masked_fill(negative_N[None, :] == target_M[:, None], float("-inf"))
    score_MX = torch.cat([target_score_M1, score_MN], dim=1)
    return F.cross_entropy(score_MX, torch.zeros_like(target_M))
