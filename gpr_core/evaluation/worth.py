"""What ads are worth: as the frozen rankers of the simulator say, and as the truth says.

Both use the same eCPM and the same final value (Eq 5); they differ in the probabilities only.

Letters: B requests, K ads asked about, A ads by rank, M flat pairs.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.evaluation.next_day import NextDay
from gpr_core.evaluation.ranked_ads import NO_AD
from gpr_core.objectives.final_value import ecpm, final_value
from gpr_core.world.oracle import Oracle

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_FATIGUE_SCALE = 10.0
_CHUNK_REQUESTS = 64
_CHUNK_PAIRS = 1 << 17


class Worth(NamedTuple):
    """Worth of (request, ad) pairs.

    Attributes:
        ecpm: [B, K] float64, currency per 1,000 impressions; 0 at padding.
        final_value: [B, K] float64, eCPM units; NaN at padding.
    """

    ecpm: Floats
    final_value: Floats


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairWorth:
    """Worth of the pairs that any method or pool needs, each computed once.

    Attributes:
        pair_M: [M] int64 ascending, request * A + rank.
        num_ads: Ads A.
        ecpm_M: [M] float64.
        final_value_M: [M] float64.
    """

    pair_M: Ints
    num_ads: int
    ecpm_M: Floats
    final_value_M: Floats

    def of(self, rank_BK: Ints) -> Worth:
        """Look lists up.

        Args:
            rank_BK: [B, K] int64 catalog ranks among those asked for; -1 pads.

        Returns:
            Their worth.
        """
        is_ad_BK = rank_BK != NO_AD
        wanted = (np.arange(len(rank_BK))[:, None] * self.num_ads + rank_BK)[is_ad_BK]
        found = np.searchsorted(self.pair_M, wanted)
        worth = Worth(np.zeros(rank_BK.shape), np.full(rank_BK.shape, np.nan))
        worth.ecpm[is_ad_BK] = self.ecpm_M[found]
        worth.final_value[is_ad_BK] = self.final_value_M[found]
        return worth


class TruthOfDay(NamedTuple):
    """The truth about the evaluation day.

    Attributes:
        pairs: Worth of the pairs that were asked for.
        uniform_mean_B: [B] float64, mean true final value of all eligible ads.
        best_mean_B: [B] float64, mean over the best eligible ads, as many as candidates are asked.
    """

    pairs: PairWorth
    uniform_mean_B: Floats
    best_mean_B: Floats


def wanted_pairs(lists: list[Ints], num_ads: int) -> Ints:
    """Collect the distinct pairs of many lists.

    Args:
        lists: [B, K] catalog ranks each; -1 pads.
        num_ads: Ads A.

    Returns:
        [M] int64 ascending, request * A + rank.
    """
    parts = [np.empty(0, dtype=np.int64)]
    for rank_BK in lists:
        row, place = np.nonzero(rank_BK != NO_AD)
        parts.append(row * num_ads + rank_BK[row, place])
    return np.unique(np.concatenate(parts))


def simulated_worth(day: NextDay, pair_M: Ints) -> PairWorth:
    """Ask the frozen rankers.

    Args:
        day: The evaluation day.
        pair_M: [M] int64 from `wanted_pairs`.

    Returns:
        Worth of the pairs.
    """
    num_ads = day.catalog.catalog.trie.num_ads
    price_M, value_M = np.empty(len(pair_M)), np.empty(len(pair_M))
    for start in range(0, len(pair_M), _CHUNK_PAIRS):
        part = slice(start, start + _CHUNK_PAIRS)
        rewards = day.simulator.reward(pair_M[part] // num_ads, pair_M[part] % num_ads)
        price_M[part], value_M[part] = rewards.ecpm_M, rewards.final_value_M
    return PairWorth(pair_M=pair_M, num_ads=num_ads, ecpm_M=price_M, final_value_M=value_M)


def true_worth(day: NextDay, oracle: Oracle, pair_M: Ints, *, candidates: int) -> TruthOfDay:
    """Ask the truth, about all eligible ads of every request.

    Args:
        day: The evaluation day.
        oracle: The truth of the synthetic world.
        pair_M: [M] int64 from `wanted_pairs`, eligible pairs.
        candidates: Candidates that every method is asked for.

    Returns:
        Worth of the pairs, and what uniform and best choices are worth.
    """
    num_requests, num_ads = day.eligible_BA.shape
    price_M, value_M = np.empty(len(pair_M)), np.empty(len(pair_M))
    uniform_B, best_B = np.full(num_requests, np.nan), np.full(num_requests, np.nan)
    for start in range(0, num_requests, _CHUNK_REQUESTS):
        rows_B = np.arange(start, min(start + _CHUNK_REQUESTS, num_requests))
        price_BA, value_BA = _true_matrix(day, oracle, rows_B)
        first, last = np.searchsorted(pair_M, (start * num_ads, (rows_B[-1] + 1) * num_ads))
        inside = pair_M[first:last] - start * num_ads
        price_M[first:last] = price_BA.ravel()[inside]
        value_M[first:last] = value_BA.ravel()[inside]
        uniform_B[rows_B], best_B[rows_B] = _reference_means(
            value_BA, day.eligible_BA[rows_B], candidates
        )
    pairs = PairWorth(pair_M=pair_M, num_ads=num_ads, ecpm_M=price_M, final_value_M=value_M)
    return TruthOfDay(pairs, uniform_B, best_B)


def _true_matrix(day: NextDay, oracle: Oracle, rows_B: Ints) -> tuple[Floats, Floats]:
    """True eCPM and final value of all ads for some requests."""
    ads = day.catalog.catalog.ads
    key_A = ads.ad_key_A.astype(np.uint64)
    key_BA = np.broadcast_to(key_A, (len(rows_B), len(key_A)))
    request_B = day.requests["request_key"].to_numpy()[rows_B]
    p_ctr, p_cvr, p_neg = oracle.outcome_probabilities(request_B, key_BA)
    version_BA = ads.versions_at(day.column("ts")[rows_B])
    price = ecpm(ads.bid_type_V[version_BA], ads.bid_micros_V[version_BA], p_ctr, p_cvr)
    shown_BA = day.shown.take(rows_B).dense(len(rows_B), len(key_A))
    value = final_value(price, p_ctr, p_cvr, p_neg, shown_BA / _FATIGUE_SCALE)
    return price, value


def _reference_means(
    value_BA: Floats, eligible_BA: npt.NDArray[np.bool_], candidates: int
) -> tuple[Floats, Floats]:
    """Mean value of all eligible ads, and of the best ones; NaN without an eligible ad."""
    count_B = eligible_BA.sum(axis=1)
    masked_BA = np.where(eligible_BA, value_BA, -np.inf)
    best_BK = -np.sort(-masked_BA, axis=1)[:, :candidates]
    is_ad_BK = np.isfinite(best_BK)
    total_B = np.where(eligible_BA, value_BA, 0.0).sum(axis=1)
    best_total_B = np.where(is_ad_BK, best_BK, 0.0).sum(axis=1)
    uniform_B, best_B = np.full(len(count_B), np.nan), np.full(len(count_B), np.nan)
    np.divide(total_B, count_B, out=uniform_B, where=count_B > 0)
    np.divide(best_total_B, is_ad_BK.sum(axis=1), out=best_B, where=count_B > 0)
    return uniform_B, best_B
