"""The cascade that serves before GPR: retrieve, pre-rank, rank, auction, explore.

It stands for the multi-stage system that the paper replaces, and it writes the logs. It is limited
on purpose: each stage sees only what the stage before it let through. The last choice is random
with known probabilities, so that every logged impression has an exact propensity.

B = requests, A = ads, N = retrieved or pre-ranked ads of a request.

Source: specification 6.2; the stages are named in the introduction of the paper.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.shapes import check_range, check_shape

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Currency per 1,000 impressions -> micros per impression.
_MICROS_PER_ECPM = 1000.0
_TIE_SLOPE = 1e-9
_LOWEST_LOG = -1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class CascadeConfig:
    """Sizes and randomness of the cascade."""

    num_retrieved: int = 200
    """Ads that retrieval lets through."""

    num_preranked: int = 50
    """Ads that the pre-ranker lets through."""

    exploration_rate: float = 0.03
    """Share of requests that show a uniformly drawn eligible ad, (0, 1]."""

    sharpness: float = 5.0
    """Winning odds are eCPM to this power; large values approach a strict auction."""

    reserve_ecpm: float = 1.0
    """Least price of 1,000 impressions, currency units."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("num_preranked", self.num_preranked, 1, self.num_retrieved)
        check_range("exploration_rate", self.exploration_rate, 1e-6, 1.0)
        check_range("sharpness", self.sharpness, 0.0, 100.0)
        check_range("reserve_ecpm", self.reserve_ecpm, 0.0, 1e6)


class Choice(NamedTuple):
    """One auction.

    Attributes:
        ad_idx: Ad to show, or -1 if none is eligible.
        slot: Its position among the candidates, or -1 if exploration found it elsewhere.
        propensity: Probability that this ad is shown, in (0, 1].
        runner_up_ecpm: Best eCPM below the winner's among the candidates; 0 if there is none.
        num_eligible: Eligible ads at this request.
    """

    ad_idx: int
    slot: int
    propensity: float
    runner_up_ecpm: float
    num_eligible: int


def retrieve(score_BA: Floats, eligible_BA: Bools, count: int) -> Ints:
    """Keep the best eligible ads of each request.

    Args:
        score_BA: [B, A] float64, popularity times interest in the ad's category, or its logarithm.
        eligible_BA: [B, A] bool.
        count: How many to keep.

    Returns:
        [B, min(count, A)] int64 ads by falling score, -1 where there are fewer eligible ones. Of
        scores that differ by less than a billionth the lower index comes first.

    Raises:
        ShapeError: If the two matrices differ in shape.

    Example:
        >>> retrieve(np.array([[1.0, 3.0, 2.0]]), np.array([[True, True, False]]), 2).tolist()
        [[1, 0]]
    """
    check_shape("eligible_BA", eligible_BA, score_BA.shape)
    num_ads = score_BA.shape[1]
    count = min(count, num_ads)
    # A partial sort leaves the order of equal scores open; the small slope settles it.
    falling_BA = np.where(eligible_BA, _TIE_SLOPE * np.arange(num_ads) - score_BA, np.inf)
    best_BN = np.argpartition(falling_BA, min(count, num_ads - 1), axis=1)[:, :count]
    order_BN = np.argsort(np.take_along_axis(falling_BA, best_BN, axis=1), axis=1, kind="stable")
    best_BN = np.take_along_axis(best_BN, order_BN, axis=1)
    is_real_BN = np.take_along_axis(eligible_BA, best_BN, axis=1)
    return np.where(is_real_BN, best_BN, -1)


def prerank(candidate_BN: Ints, score_BN: Floats, count: int) -> Ints:
    """Keep the best of the retrieved ads.

    Args:
        candidate_BN: [B, N] int64 ads, -1 for none.
        score_BN: [B, N] float64, predicted p_ctr or its logit.
        count: How many to keep.

    Returns:
        [B, min(count, N)] int64 positions in `candidate_BN`, by falling score, empty places last.

    Raises:
        ShapeError: If the two matrices differ in shape.
    """
    check_shape("score_BN", score_BN, candidate_BN.shape)
    masked_BN = np.where(candidate_BN >= 0, score_BN, -np.inf)
    return np.argsort(-masked_BN, axis=1, kind="stable")[:, :count]


def winning_weights(ecpm_BN: Floats, candidate_BN: Ints, sharpness: float) -> Floats:
    """Turn eCPM into odds of winning.

    Args:
        ecpm_BN: [B, N] float64 > 0, currency per 1,000 impressions.
        candidate_BN: [B, N] int64 ads, -1 for none.
        sharpness: Power of eCPM.

    Returns:
        [B, N] float64, 1 for the best candidate of a row, 0 for empty places.
    """
    log_BN = np.where(candidate_BN >= 0, np.log(np.maximum(ecpm_BN, 1e-12)), -np.inf)
    best_B1 = log_BN.max(axis=1, keepdims=True, initial=_LOWEST_LOG)
    return np.asarray(np.exp(sharpness * (log_BN - best_B1)))


def run_auction(
    candidate_N: Ints,
    ecpm_N: Floats,
    weight_N: Floats,
    eligible_A: Bools,
    draws: tuple[float, float],
    exploration_rate: float,
) -> Choice:
    """Choose the ad of one request.

    With probability `exploration_rate` any eligible ad is shown, all alike; else a candidate that
    is still eligible wins with probability proportional to its weight. The propensity is the
    probability of the ad under this mixture, whichever branch showed it.

    Args:
        candidate_N: [N] int64 ads, -1 for none.
        ecpm_N: [N] float64 predicted eCPM of the candidates.
        weight_N: [N] float64 odds of winning.
        eligible_A: [A] bool, at this very moment.
        draws: Two uniforms in (0, 1): which branch, and which ad in it.
        exploration_rate: Probability of the exploring branch.

    Returns:
        The choice.
    """
    num_eligible = int(np.count_nonzero(eligible_A))
    if num_eligible == 0:
        return Choice(-1, -1, 0.0, 0.0, 0)
    odds_N = weight_N * (eligible_A[candidate_N] & (candidate_N >= 0))
    total_N = np.cumsum(odds_N)
    total = float(total_N[-1])
    explore_rate = exploration_rate if total > 0 else 1.0
    if draws[0] < explore_rate:
        ad_idx = int(np.flatnonzero(eligible_A)[int(draws[1] * num_eligible)])
        [slots] = np.nonzero(candidate_N == ad_idx)
        slot = int(slots[0]) if len(slots) else -1
    else:
        slot = int(np.searchsorted(total_N, draws[1] * total, side="right"))
        ad_idx = int(candidate_N[slot])
    propensity = explore_rate / num_eligible
    if slot < 0:
        return Choice(ad_idx, slot, propensity, 0.0, num_eligible)
    if total > 0:
        propensity += (1.0 - explore_rate) * float(odds_N[slot]) / total
    below_N = ecpm_N[(odds_N > 0) & (ecpm_N < ecpm_N[slot])]
    runner_up = float(below_N.max()) if len(below_N) else 0.0
    return Choice(ad_idx, slot, propensity, runner_up, num_eligible)


def second_price_micros(own_ecpm: float, runner_up_ecpm: float, reserve_ecpm: float) -> int:
    """Price one impression by the generalized second price.

    Args:
        own_ecpm: eCPM of the winner.
        runner_up_ecpm: Best eCPM below it, 0 if none.
        reserve_ecpm: Least price of 1,000 impressions.

    Returns:
        Micros, at least 1 and never more than the winner's own eCPM (when that is a micro or more).

    Example:
        >>> second_price_micros(30.0, 12.5, 1.0)
        12500
    """
    ecpm = min(own_ecpm, max(runner_up_ecpm, reserve_ecpm))
    return max(1, round(ecpm * _MICROS_PER_ECPM))
