"""Popularity floor: the ads shown most, recent exposures counting more.

Letters: M past exposures, A ads by catalog rank.

Source: specification 7.1 (mandatory baseline); the decay is own.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpr_core.data.tables import DAY_MS
from gpr_core.support.errors import ConfigError, LeakageError
from gpr_core.support.shapes import check_shape

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Popularity:
    """Decayed exposure counts.

    Attributes:
        share_A: [A] float64 >= 0 with sum 1, or all zero if nothing was ever shown.
    """

    share_A: npt.NDArray[np.float64]

    @classmethod
    def fit(
        cls, rank_M: Ints, ts_M: Ints, *, num_ads: int, cutoff_ts: int, half_life_days: float
    ) -> "Popularity":
        """Count exposures, each halved per half-life of age.

        Args:
            rank_M: [M] int64 catalog rank of the ad shown; -1 (not in the catalog) is ignored.
            ts_M: [M] int64 epoch ms of the exposure.
            num_ads: Ads A of the catalog.
            cutoff_ts: End of the training data, epoch ms, exclusive; ages are measured from it.
            half_life_days: Age at which an exposure counts half, days, > 0.

        Returns:
            The fitted floor.

        Raises:
            ConfigError: If the half-life is not positive.
            LeakageError: If an exposure is not before the cutoff.
            ShapeError: If the arrays differ in length.

        Example:
            >>> rank, ts = np.array([1, 1, 0]), np.array([0, 0, 0])
            >>> floor = Popularity.fit(rank, ts, num_ads=3, cutoff_ts=1, half_life_days=7)
            >>> floor.share_A.round(3).tolist()
            [0.333, 0.667, 0.0]
        """
        check_shape("ts_M", ts_M, rank_M.shape)
        if half_life_days <= 0:
            raise ConfigError(
                f"half_life_days is {half_life_days}, expected a positive number of days",
                fix="use 7 for a week",
            )
        if ts_M.size and int(ts_M.max()) >= cutoff_ts:
            raise LeakageError(
                f"an exposure at {int(ts_M.max())} is not before the cutoff {cutoff_ts}",
                where="popularity floor",
                fix="pass exposures of the training days only",
            )
        is_known_M = rank_M >= 0
        age_days_M = (cutoff_ts - ts_M[is_known_M]) / DAY_MS
        weight_M = np.exp2(-age_days_M / half_life_days)
        count_A = np.bincount(rank_M[is_known_M], weights=weight_M, minlength=num_ads)
        return cls(count_A / max(count_A.sum(), np.finfo(np.float64).tiny))

    def score(self, num_requests: int) -> npt.NDArray[np.float64]:
        """Score the catalog; every request gets the same scores.

        Args:
            num_requests: Requests B.

        Returns:
            [B, A] float64, a read-only view.
        """
        return np.broadcast_to(self.share_A, (num_requests, self.share_A.size))
