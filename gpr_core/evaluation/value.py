"""Value of a ranking: nDCG and OPR on a fixed pool, final value of the candidates, regret.

Letters: B requests, P ads of the pool, K candidates, A ads.

Source: specification 7.2 (the paper's Table 3).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ShapeError
from gpr_core.support.shapes import check_shape

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_CHUNK_REQUESTS = 256


class ListValue(NamedTuple):
    """Value of each request's candidates.

    Attributes:
        mean_B: [B] float64, mean over the candidates; NaN for an empty list.
        max_B: [B] float64, the best candidate; NaN for an empty list.
        coverage_B: [B] float64, share of the places asked for that are filled.
    """

    mean_B: Floats
    max_B: Floats
    coverage_B: Floats


def ndcg(score_BP: Floats, gain_BP: Floats, in_pool_BP: Bools) -> Floats:
    """Normalized discounted cumulative gain of each request's pool.

    Gains of ads with the same score are averaged: the expectation over all their orders, so that
    a method which cannot tell ads apart gains nothing from the order they happen to lie in.

    Args:
        score_BP: [B, P] float64, what the method ranks by, higher first.
        gain_BP: [B, P] float64, eCPM >= 0.
        in_pool_BP: [B, P] bool, False at padding.

    Returns:
        [B] float64 in [0, 1]; NaN for a pool whose gains are all zero, which is skipped.

    Raises:
        ShapeError: If the arrays differ in shape.

    Example:
        >>> score, gain = np.array([[3.0, 2.0, 1.0]]), np.array([[1.0, 0.0, 1.0]])
        >>> round(float(ndcg(score, gain, np.ones((1, 3), dtype=bool))[0]), 4)
        0.9197
    """
    _check_pool(score_BP, gain_BP, in_pool_BP)
    gain_BP = np.where(in_pool_BP, gain_BP, 0.0)
    masked_BP = np.where(in_pool_BP, score_BP, -np.inf)
    order_BP = np.argsort(-masked_BP, axis=1, kind="stable")
    sorted_score_BP = np.take_along_axis(masked_BP, order_BP, axis=1)
    fair_gain_BP = _mean_over_ties(sorted_score_BP, np.take_along_axis(gain_BP, order_BP, axis=1))
    discount_P = 1.0 / np.log2(np.arange(score_BP.shape[1]) + 2.0)
    ideal_B = -np.sort(-gain_BP, axis=1) @ discount_P
    reached_B = fair_gain_BP @ discount_P
    return _divide(reached_B, ideal_B)


def ordered_pair_rate(
    score_BP: Floats, gain_BP: Floats, in_pool_BP: Bools, *, min_relative_gap: float = 0.01
) -> Floats:
    """Share of pairs of the pool that the method orders as their gains do (OPR).

    Args:
        score_BP: [B, P] float64, what the method ranks by.
        gain_BP: [B, P] float64, eCPM.
        in_pool_BP: [B, P] bool, False at padding.
        min_relative_gap: Pairs count only if gain_i - gain_j > min_relative_gap * gain_i.

    Returns:
        [B] float64 in [0, 1], equal scores count one half; NaN for a pool without any such pair.

    Raises:
        ShapeError: If the arrays differ in shape.
    """
    _check_pool(score_BP, gain_BP, in_pool_BP)
    rate_B = np.full(len(score_BP), np.nan)
    for start in range(0, len(score_BP), _CHUNK_REQUESTS):
        rows = slice(start, start + _CHUNK_REQUESTS)
        score, gain, inside = score_BP[rows], gain_BP[rows], in_pool_BP[rows]
        gap_BPP = gain[:, :, None] - gain[:, None, :]
        counts_BPP = gap_BPP > min_relative_gap * np.abs(gain)[:, :, None]
        counts_BPP &= inside[:, :, None] & inside[:, None, :] & (gap_BPP > 0)
        # Compared, not subtracted: a score of -inf against another one is a tie, not NaN.
        right_BPP = score[:, :, None] > score[:, None, :]
        tie_BPP = score[:, :, None] == score[:, None, :]
        won_B = (counts_BPP & right_BPP).sum((1, 2)) + 0.5 * (counts_BPP & tie_BPP).sum((1, 2))
        pairs_B = counts_BPP.sum((1, 2))
        rate_B[rows] = _divide(won_B, pairs_B.astype(np.float64))
    return rate_B


def list_value(value_BK: Floats, is_ad_BK: Bools, asked: int) -> ListValue:
    """Average and best value of each request's candidates.

    Args:
        value_BK: [B, K] float64, final value of each candidate.
        is_ad_BK: [B, K] bool, False at padding.
        asked: Places that every method was asked to fill.

    Returns:
        Mean, maximum and coverage per request.

    Raises:
        ShapeError: If a list is longer than `asked`: its maximum could not be compared (T23).
    """
    check_shape("is_ad_BK", is_ad_BK, value_BK.shape)
    if value_BK.shape[1] > asked:
        raise ShapeError(
            f"lists of up to {value_BK.shape[1]} candidates, every method was asked for {asked}",
            where="evaluation final value",
            fix="cut the lists with RankedAds.first(value_candidates)",
        )
    count_B = is_ad_BK.sum(axis=1)
    total_B = np.where(is_ad_BK, value_BK, 0.0).sum(axis=1)
    mean_B = _divide(total_B, count_B.astype(np.float64))
    max_B = np.where(is_ad_BK, value_BK, -np.inf).max(axis=1, initial=-np.inf)
    return ListValue(
        mean_B=mean_B,
        max_B=np.where(count_B > 0, max_B, np.nan),
        coverage_B=count_B / asked,
    )


def pooled_range(
    values: Mapping[str, tuple[Floats, Bools]], *, clip_percent: float = 0.0
) -> tuple[float, float]:
    """Find the one range that all methods are scaled by (T22).

    A range per method would map every method onto [0, 1] and erase or flip their order.

    Args:
        values: Method -> ([B, K] float64 raw final values, [B, K] bool False at padding).
        clip_percent: Percentage cut off at each end, 0 for the plain minimum and maximum.

    Returns:
        Lowest and highest value; (0, 1) if there is no candidate at all.
    """
    flat = np.concatenate([np.empty(0), *(value[is_ad] for value, is_ad in values.values())])
    if flat.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(flat, (clip_percent, 100 - clip_percent))
    return float(low), float(high)


def scale(value: Floats, low: float, high: float) -> Floats:
    """Scale values by a shared range.

    Args:
        value: Raw values of any shape.
        low: Lower end of the range.
        high: Upper end of the range.

    Returns:
        The same shape, in [0, 1]; values outside are clipped, an empty range gives 0.
    """
    width = high - low
    if width <= 0:
        return np.where(np.isnan(value), np.nan, 0.0)
    return np.clip((value - low) / width, 0.0, 1.0)


def rank_correlation(left_BP: Floats, right_BP: Floats, in_pool_BP: Bools) -> Floats:
    """Spearman correlation of two values inside each request's pool.

    Args:
        left_BP: [B, P] float64.
        right_BP: [B, P] float64.
        in_pool_BP: [B, P] bool, False at padding.

    Returns:
        [B] float64 in [-1, 1], ties share their mean rank; NaN where one side is constant.

    Raises:
        ShapeError: If the arrays differ in shape.
    """
    _check_pool(left_BP, right_BP, in_pool_BP)
    left, right = _mean_ranks(left_BP, in_pool_BP), _mean_ranks(right_BP, in_pool_BP)
    count_B = np.maximum(in_pool_BP.sum(axis=1), 1)
    left = np.where(in_pool_BP, left - (left.sum(axis=1) / count_B)[:, None], 0.0)
    right = np.where(in_pool_BP, right - (right.sum(axis=1) / count_B)[:, None], 0.0)
    product_B = np.sqrt((left**2).sum(axis=1) * (right**2).sum(axis=1))
    joint_B = (left * right).sum(axis=1)
    return _divide(joint_B, product_B)


def _divide(numerator_B: Floats, denominator_B: Floats) -> Floats:
    """Divide, giving NaN where the denominator is not positive."""
    ratio_B = np.full(numerator_B.shape, np.nan)
    np.divide(numerator_B, denominator_B, out=ratio_B, where=denominator_B > 0)
    return ratio_B


def _check_pool(first: Floats, second: Floats, mask: Bools) -> None:
    """Check that the arrays of a pool have one shape."""
    check_shape("first_BP", first, mask.shape)
    check_shape("second_BP", second, mask.shape)


def _group_ids(sorted_BP: Floats) -> npt.NDArray[np.int64]:
    """Number runs of equal values over all sorted rows, [B, P]."""
    is_new = np.ones_like(sorted_BP, dtype=np.bool_)
    is_new[:, 1:] = sorted_BP[:, 1:] != sorted_BP[:, :-1]
    return np.cumsum(is_new.ravel()).reshape(sorted_BP.shape) - 1


def _mean_over_ties(sorted_BP: Floats, value_BP: Floats) -> Floats:
    """Replace values by their mean over the run of equal sort keys they stand in."""
    group_BP = _group_ids(sorted_BP)
    flat = group_BP.ravel()
    mean = np.bincount(flat, weights=value_BP.ravel()) / np.bincount(flat)
    return np.asarray(mean[group_BP])


def _mean_ranks(value_BP: Floats, in_pool_BP: Bools) -> Floats:
    """Rank values inside each pool, 0-based, ties sharing their mean rank; 0 at padding."""
    masked_BP = np.where(in_pool_BP, value_BP, np.inf)
    order_BP = np.argsort(masked_BP, axis=1, kind="stable")
    position_BP = np.broadcast_to(np.arange(value_BP.shape[1], dtype=np.float64), value_BP.shape)
    sorted_BP = np.take_along_axis(masked_BP, order_BP, axis=1)
    rank_BP = np.empty_like(masked_BP)
    np.put_along_axis(rank_BP, order_BP, _mean_over_ties(sorted_BP, position_BP), axis=1)
    return np.where(in_pool_BP, rank_BP, 0.0)
