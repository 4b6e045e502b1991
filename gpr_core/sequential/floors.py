"""Rankers without training: what every model has to beat before anything is said about it.

Letters: M interactions, A items, B users.
"""

import numpy as np
from scipy import sparse

from gpr_core.baselines.popularity import Popularity
from gpr_core.baselines.transitions import LastItemTransitions
from gpr_core.sequential.ranking import Scores
from gpr_core.sequential.sequences import Histories

_WINDOW = 3
_RECENCY = 0.8


class PopularityFloor:
    """Items by how often they were acted on.

    Args:
        train: Training sequences.
        num_items: Items A.
    """

    def __init__(self, train: Histories, num_items: int) -> None:
        self.counts = count_items(train, num_items)

    def score(self, history: Histories) -> Scores:
        """Score every item alike for all users.

        Args:
            history: Sequences of B users.

        Returns:
            [B, A] float32.
        """
        return np.tile(self.counts.share_A.astype(np.float32), (len(history), 1))


class RepeatLastFloor:
    """The user's own items, the latest first; 0 by construction where seen items do not count.

    Args:
        num_items: Items A.
    """

    def __init__(self, num_items: int) -> None:
        self._num_items = num_items

    def score(self, history: Histories) -> Scores:
        """Score the items of each user by recency.

        Args:
            history: Sequences of B users.

        Returns:
            [B, A] float32, -inf for items that the user never acted on.
        """
        score_BA = np.full((len(history), self._num_items), -np.inf, dtype=np.float32)
        # Later positions are written last, so that an item keeps its latest place.
        score_BA[history.users, history.item_M] = history.positions
        return score_BA


class TransitionFloor:
    """What others acted on after the user's last item, at most three places later.

    Args:
        train: Training sequences.
        num_items: Items A.
    """

    def __init__(self, train: Histories, num_items: int) -> None:
        self._transitions = LastItemTransitions.fit(
            train.users,
            train.positions,
            train.item_M,
            prior=count_items(train, num_items),
            window=_WINDOW,
        )

    def score(self, history: Histories) -> Scores:
        """Score every item after each user's last one.

        Args:
            history: Sequences of B users.

        Returns:
            [B, A] float32.
        """
        last_B1 = history.item_M[history.offset_U1[1:] - 1][:, None]
        return self._transitions.score(last_B1).astype(np.float32)


class ItemKnnFloor:
    """Items that share users with the user's items, latest items counting most.

    Similarity is the cosine of the sets of users of two items.

    Args:
        train: Training sequences.
        num_items: Items A.
    """

    def __init__(self, train: Histories, num_items: int) -> None:
        ones_M = np.ones(len(train.item_M))
        seen_UA = sparse.csr_matrix(
            (ones_M, (train.users, train.item_M)), shape=(len(train), num_items)
        )
        seen_UA.data[:] = 1.0
        norm_A = np.sqrt(np.asarray(seen_UA.sum(0)).ravel())
        unit_UA = seen_UA @ sparse.diags(1 / np.maximum(norm_A, 1.0))
        self._similar_AA = (unit_UA.T @ unit_UA).tocsr()

    def score(self, history: Histories) -> Scores:
        """Score every item by its similarity to each user's items.

        Args:
            history: Sequences of B users.

        Returns:
            [B, A] float32.
        """
        age_M = np.repeat(history.lengths, history.lengths) - 1 - history.positions
        shape = (len(history), self._similar_AA.shape[0])
        weight_BA = sparse.csr_matrix(
            (_RECENCY**age_M, (history.users, history.item_M)), shape=shape
        )
        scores: Scores = (weight_BA @ self._similar_AA).toarray().astype(np.float32)
        return scores


def count_items(train: Histories, num_items: int) -> Popularity:
    """Count training interactions; the files have no times, so none counts less than another.

    Args:
        train: Training sequences.
        num_items: Items A.

    Returns:
        Shares of the items.
    """
    return Popularity.fit(
        train.item_M,
        np.zeros_like(train.item_M),
        num_ads=num_items,
        cutoff_ts=1,
        half_life_days=np.inf,
    )
