"""Full ranking: every unseen item competes with the one that came next.

Sampled metrics are not offered: they order methods differently.

Letters: B users, A items, K cut-offs.
"""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gpr_core.sequential.sequences import Histories, Ints, LeaveOneOut

Scores = npt.NDArray[np.float32]

CUTOFFS = (5, 10)
_USERS_AT_ONCE = 512


class Ranker(Protocol):
    """Anything that can order all items for a user."""

    def score(self, history: Histories) -> Scores:
        """Score every item.

        Args:
            history: Sequences of B users, none of them empty.

        Returns:
            [B, A] float32, higher is better; -inf for an item that it would never show.
        """
        ...


def target_ranks(ranker: Ranker, task: LeaveOneOut) -> Ints:
    """Find the place of every target among the items that its user has not seen.

    A tie counts against the ranker, so that scoring everything alike earns nothing.

    Args:
        ranker: Orders the items.
        task: Histories and targets.

    Returns:
        [B] int64, 0 is the first place.
    """
    places = []
    for history, target_B in _batches(task):
        score_BA = ranker.score(history).copy()
        row_B = np.arange(len(target_B))
        target_score_B1 = score_BA[row_B, target_B][:, None].copy()
        score_BA[history.users, history.item_M] = -np.inf
        # The target competes even where the user has met it before, but not with itself.
        score_BA[row_B, target_B] = -np.inf
        rival_BA = score_BA >= target_score_B1
        # Seen items tie with a target that is never shown; such a target simply comes last.
        is_never_shown_B = np.isneginf(target_score_B1[:, 0])
        places.append(np.where(is_never_shown_B, score_BA.shape[1] - 1, rival_BA.sum(1)))
    return np.concatenate(places)


def ranking_metrics(rank_B: Ints) -> dict[str, npt.NDArray[np.float64]]:
    """Turn places into metrics.

    Args:
        rank_B: [B] int64, 0 is the first place.

    Returns:
        Metric name -> [B] float64 in [0, 1]: `recall@K`, 1 if the target is among the first K,
        and `ndcg@K`, 1 / log2(place + 1) there.

    Example:
        >>> metrics = ranking_metrics(np.array([0, 2, 10]))
        >>> metrics["recall@10"].tolist(), metrics["ndcg@5"].tolist()
        ([1.0, 1.0, 0.0], [1.0, 0.5, 0.0])
    """
    gain_B = 1 / np.log2(rank_B + 2.0)
    metrics = {}
    for cutoff in CUTOFFS:
        found_B = (rank_B < cutoff).astype(np.float64)
        metrics[f"recall@{cutoff}"] = found_B
        metrics[f"ndcg@{cutoff}"] = found_B * gain_B
    return metrics


def _batches(task: LeaveOneOut) -> Iterator[tuple[Histories, Ints]]:
    """Cut the users into batches whose scores fit into memory."""
    for first in range(0, len(task.target_B), _USERS_AT_ONCE):
        user_B = np.arange(first, min(first + _USERS_AT_ONCE, len(task.target_B)))
        yield task.history.select(user_B), task.target_B[user_B]
