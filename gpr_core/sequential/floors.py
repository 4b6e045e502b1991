"""Rankers without training: what every model has to beat before anything is said about it.

Letters: M interactions, A items, B users.
"""

import numpy as np

from gpr_core.baselines.item_knn import ItemKnn
from gpr_core.baselines.popularity import Popularity
from gpr_core.baselines.transitions import LastItemTransitions
from gpr_core.sequential.ranking import Scores
from gpr_core.sequential.sequences import Histories

_WINDOW = 3


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

    Args:
        train: Training sequences.
        num_items: Items A.
    """

    def __init__(self, train: Histories, num_items: int) -> None:
        prior = count_items(train, num_items)
        self._neighbours = ItemKnn.fit(train.users, train.item_M, prior=prior)

    def score(self, history: Histories) -> Scores:
        """Score every item by its similarity to each user's items.

        Args:
            history: Sequences of B users.

        Returns:
            [B, A] float32.
        """
        item_BT = history.latest(int(history.lengths.max(initial=1)))
        place_BT = history.lengths[:, None] - 1 - np.arange(item_BT.shape[1])
        latest_first_BT = np.take_along_axis(item_BT, np.maximum(place_BT, 0), axis=1)
        recent_BT = np.where(place_BT >= 0, latest_first_BT, -1)
        return self._neighbours.score(recent_BT).astype(np.float32)


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
