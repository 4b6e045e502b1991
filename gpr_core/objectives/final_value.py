"""What an exposure is worth: eCPM and the final value of Eq 5.

The same two functions are used by the simulator, the value heads and the evaluation, so that no
two parts of the project can disagree about what is being optimized.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpr_core.data.tables import BidType
from gpr_core.support.errors import ConfigError

_NUM_TARGETS = 4
_MICROS = 1e6
_IMPRESSIONS = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalValueWeights:
    """Weights of the auxiliary targets of Eq 5, in eCPM units.

    At least one weight is negative: the paper says that a final value can be negative, and eCPM
    alone cannot.
    """

    p_ctr: float = 20.0
    """Weight of the click probability."""
    p_cvr: float = 20.0
    """Weight of the probability of a conversion given a click."""
    p_neg: float = -60.0
    """Weight of the probability that the user hides the ad."""
    fatigue: float = -5.0
    """Weight of the fatigue target (earlier impressions of the ad to the user, over 10)."""

    def __post_init__(self) -> None:
        """Check that a final value can be negative."""
        if min(self.p_ctr, self.p_cvr, self.p_neg, self.fatigue) >= 0:
            raise ConfigError(
                "no weight of final_value is negative, so that it could never be",
                where="FinalValueWeights",
                fix="set p_neg or fatigue below 0",
            )


DEFAULT_WEIGHTS = FinalValueWeights()


def ecpm(
    bid_type: npt.ArrayLike,
    bid_micros: npt.ArrayLike,
    p_ctr: npt.ArrayLike,
    p_cvr: npt.ArrayLike,
) -> npt.NDArray[np.float64]:
    """Compute the expected price of 1,000 impressions.

    CPM: the bid itself. CPC: 1000 * p_ctr * bid. OCPA: 1000 * p_ctr * p_cvr * bid.

    Args:
        bid_type: [...] integers of `BidType`.
        bid_micros: [...] integers, micros; per 1,000 impressions for CPM, per click for CPC, per
            conversion for OCPA.
        p_ctr: [...] probability of a click.
        p_cvr: [...] probability of a conversion given a click.

    Returns:
        [...] float64, currency units per 1,000 impressions.

    Source:
        Specification 3.8 (the paper names eCPM without a formula).

    Example:
        >>> ecpm([0, 1, 2], [3_000_000, 500_000, 10_000_000], 0.02, 0.05).tolist()
        [3.0, 10.0, 10.0]
    """
    kind = np.asarray(bid_type)
    bid = np.asarray(bid_micros, dtype=np.float64) / _MICROS
    per_click = _IMPRESSIONS * np.asarray(p_ctr, dtype=np.float64) * bid
    per_conversion = per_click * np.asarray(p_cvr, dtype=np.float64)
    billed = np.where(kind == BidType.CPC, per_click, per_conversion)
    return np.asarray(np.where(kind == BidType.CPM, bid, billed), dtype=np.float64)


def final_value(
    ecpm: npt.ArrayLike,
    p_ctr: npt.ArrayLike,
    p_cvr: npt.ArrayLike,
    p_neg: npt.ArrayLike,
    fatigue: npt.ArrayLike,
    weights: FinalValueWeights = DEFAULT_WEIGHTS,
) -> npt.NDArray[np.float64]:
    """Compute the final value of showing an ad: eCPM plus the mean of the weighted targets.

    Args:
        ecpm: [...] currency units per 1,000 impressions.
        p_ctr: [...] probability of a click.
        p_cvr: [...] probability of a conversion given a click.
        p_neg: [...] probability that the user hides the ad.
        fatigue: [...] earlier impressions of the ad to the user, divided by 10.
        weights: Weights of the four targets.

    Returns:
        [...] float64, eCPM units; may be negative.

    Source:
        Paper Eq 5; targets and weights from specification 4.3.

    Example:
        >>> final_value(1.0, 0.1, 0.05, 0.02, 0.5).item()
        0.825
    """
    targets = (
        weights.p_ctr * np.asarray(p_ctr, dtype=np.float64)
        + weights.p_cvr * np.asarray(p_cvr, dtype=np.float64)
        + weights.p_neg * np.asarray(p_neg, dtype=np.float64)
        + weights.fatigue * np.asarray(fatigue, dtype=np.float64)
    )
    return np.asarray(np.asarray(ecpm, dtype=np.float64) + targets / _NUM_TARGETS)
