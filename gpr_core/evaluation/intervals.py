"""Confidence intervals by resampling users.

Requests of one user resemble each other, so users are drawn, not requests: a resample takes U of U
users with replacement, each with all its requests, and the metric is the mean over those requests.
All metrics and all differences share the same resamples, which makes differences paired.

Letters: B requests, U users, M metrics, S resamples.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ShapeError
from gpr_core.support.seeding import numpy_stream

_CHUNK_CELLS = 4_000_000

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with its uncertainty.

    Attributes:
        value: The estimate.
        ci_low: Lower end of the interval.
        ci_high: Upper end of the interval.
        n: Number of requests that the estimate rests on.
    """

    value: float
    ci_low: float
    ci_high: float
    n: int


class Draws(NamedTuple):
    """Metric means, as estimated and as resampled.

    Attributes:
        mean_M: [M] float64, mean of each metric over its requests; NaN if it has none.
        draw_SM: [S, M] float64, the same in each resample; NaN where the resample has no request.
        n_M: [M] int64, requests of each metric.
    """

    mean_M: Floats
    draw_SM: Floats
    n_M: npt.NDArray[np.int64]


class UserBootstrap:
    """Resamples users and reports percentile intervals.

    Args:
        user_B: [B] integer, user of each request.
        seed: Run seed; the same seed and users give the same resamples.
        resamples: Number of resamples S.
        confidence: Confidence level, for example 0.95.

    Raises:
        ShapeError: If there is no request.

    Source:
        Specification 7.3 (user-level cluster bootstrap); one weight matrix for everything is own.

    Example:
        >>> bootstrap = UserBootstrap(np.array([1, 1, 2]), seed=0, resamples=100)
        >>> bootstrap.interval(np.array([1.0, 1.0, 1.0])).ci_low
        1.0
    """

    def __init__(
        self,
        user_B: npt.NDArray[np.integer],
        *,
        seed: int,
        resamples: int = 2000,
        confidence: float = 0.95,
    ) -> None:
        if user_B.size == 0:
            raise ShapeError(
                "there is no request to resample",
                where="evaluation intervals",
                fix="evaluate a day that has requests",
            )
        keys_U, self._user_B = np.unique(user_B, return_inverse=True)
        self._weight_SU = _draw_weights(len(keys_U), resamples, seed)
        tail = 100 * (1 - confidence) / 2
        self._percentiles = (tail, 100 - tail)

    def draws(self, value_BM: Floats) -> Draws:
        """Estimate and resample means of several metrics.

        Args:
            value_BM: [B, M] float64; NaN marks a request that a metric does not count.

        Returns:
            Means, resampled means and counts.

        Raises:
            ShapeError: If the number of requests is not that of the users.
        """
        if value_BM.ndim != 2 or len(value_BM) != len(self._user_B):
            raise ShapeError(
                f"values have shape {list(value_BM.shape)}, "
                f"expected [{len(self._user_B)}, any]: one row per request",
                where="evaluation intervals",
            )
        counted_BM = ~np.isnan(value_BM)
        sum_UM = self._per_user(np.where(counted_BM, value_BM, 0.0))
        count_UM = self._per_user(counted_BM.astype(np.float64))
        total_SM, number_SM = self._weight_SU @ sum_UM, self._weight_SU @ count_UM
        with np.errstate(invalid="ignore", divide="ignore"):
            draw_SM = total_SM / number_SM
            mean_M = sum_UM.sum(axis=0) / count_UM.sum(axis=0)
        return Draws(mean_M=mean_M, draw_SM=draw_SM, n_M=counted_BM.sum(axis=0))

    def interval(self, value_B: Floats) -> Interval | None:
        """Report the mean of one metric.

        Args:
            value_B: [B] float64; NaN marks a request that does not count.

        Returns:
            The mean with its interval; None if no request counts.
        """
        draws = self.draws(value_B[:, None])
        return self.summarize(draws.mean_M[0], draws.draw_SM[:, 0], int(draws.n_M[0]))

    def difference(self, value_B: Floats, other_B: Floats) -> Interval | None:
        """Report the mean of the paired difference of one metric for two methods.

        Args:
            value_B: [B] float64, the method; NaN where it does not count.
            other_B: [B] float64, what it is compared with.

        Returns:
            The mean of `value_B - other_B` over requests that count for both; None if none does.
        """
        return self.interval(value_B - other_B)

    def summarize(self, value: float, draw_S: Floats, n: int) -> Interval | None:
        """Turn resampled values of any statistic into an interval.

        Args:
            value: The estimate.
            draw_S: [S] float64, the statistic in each resample; NaN and infinity are left out.
            n: Number of requests behind it.

        Returns:
            The interval; None if the estimate or every resample is undefined.
        """
        usable = draw_S[np.isfinite(draw_S)]
        if not np.isfinite(value) or usable.size == 0:
            return None
        low, high = np.percentile(usable, self._percentiles)
        return Interval(value=float(value), ci_low=float(low), ci_high=float(high), n=n)

    def _per_user(self, value_BM: Floats) -> Floats:
        """Sum rows by user."""
        sum_UM = np.zeros((self._weight_SU.shape[1], value_BM.shape[1]))
        np.add.at(sum_UM, self._user_B, value_BM)
        return sum_UM


def _draw_weights(num_users: int, resamples: int, seed: int) -> Floats:
    """Count how often each resample takes each user, [S, U]."""
    stream = numpy_stream(seed, "evaluation", "bootstrap")
    weight_SU = np.empty((resamples, num_users))
    rows = max(1, _CHUNK_CELLS // num_users)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = stream.integers(0, num_users, size=(size, num_users))
        flat = (drawn + np.arange(size)[:, None] * num_users).ravel()
        counts = np.bincount(flat, minlength=size * num_users)
        weight_SU[start : start + size] = counts.reshape(size, num_users)
    return weight_SU
