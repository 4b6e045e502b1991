"""Transition floor: what users were shown after the ad they were shown last.

Pairs of exposures of one user at distance d count 1/d, for d up to a window. An ad's row is
smoothed with popularity, so that a rarely shown ad falls back to what is popular.

Letters: M exposures in training, A ads by catalog rank, B requests, H remembered exposures.

Source: own; the classical first-order Markov floor of sequential recommendation.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from gpr_core.baselines.popularity import Popularity
from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_shape

Ints = npt.NDArray[np.int64]

_PRIOR_STRENGTH = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class LastItemTransitions:
    """Weighted counts of ordered pairs of ads.

    Attributes:
        weight_AA: [A, A] sparse float64; row: ad shown first, column: ad shown later.
        prior: Popularity, which rows are smoothed with.
    """

    weight_AA: sparse.csr_matrix
    prior: Popularity

    @classmethod
    def fit(
        cls, user_M: Ints, ts_M: Ints, rank_M: Ints, *, prior: Popularity, window: int
    ) -> "LastItemTransitions":
        """Count pairs of exposures of the same user.

        Args:
            user_M: [M] int64 user of each exposure, any order.
            ts_M: [M] int64 epoch ms.
            rank_M: [M] int64 catalog rank; -1 (not in the catalog) is ignored.
            prior: Popularity over the same catalog.
            window: Largest distance of a pair, >= 1.

        Returns:
            The fitted floor.

        Raises:
            ConfigError: If the window is below 1.
            ShapeError: If the arrays differ in length.
        """
        check_shape("ts_M", ts_M, user_M.shape)
        check_shape("rank_M", rank_M, user_M.shape)
        if window < 1:
            raise ConfigError(f"window is {window}, expected at least 1", fix="use 5")
        known = np.flatnonzero(rank_M >= 0)
        order = known[np.lexsort((ts_M[known], user_M[known]))]
        user, rank = user_M[order], rank_M[order]
        first, later, weight = [], [], []
        for distance in range(1, window + 1):
            same_user = user[distance:] == user[:-distance]
            first.append(rank[:-distance][same_user])
            later.append(rank[distance:][same_user])
            weight.append(np.full(int(same_user.sum()), 1.0 / distance))
        num_ads = prior.share_A.size
        pairs = (np.concatenate(first), np.concatenate(later))
        counts = sparse.coo_matrix((np.concatenate(weight), pairs), shape=(num_ads, num_ads))
        return cls(counts.tocsr(), prior)

    def score(self, recent_BH: Ints) -> npt.NDArray[np.float64]:
        """Score the catalog after each request's last exposure.

        Args:
            recent_BH: [B, H] int64 ranks of the ads the user was shown, most recent first; -1
                pads. Only the first column is used.

        Returns:
            [B, A] float64: smoothed probability of each ad; popularity where nothing was shown.
        """
        last_B = recent_BH[:, 0] if recent_BH.shape[1] else np.full(len(recent_BH), -1)
        count_BA = self.weight_AA[np.maximum(last_B, 0)].toarray()
        count_BA[last_B < 0] = 0.0
        total_B = count_BA.sum(axis=1, keepdims=True)
        smoothed_BA = count_BA + _PRIOR_STRENGTH * self.prior.share_A
        return np.asarray(smoothed_BA / (total_B + _PRIOR_STRENGTH))
