"""Drift: does this day look like the days before?

A profile keeps, per day, the number of rows and a histogram or mean per drift rule; it is made in
`profiles`. A histogram is compared by the population stability index or the Jensen-Shannon
distance, a volume or mean by robust sigmas. A day without rows has a volume of 0 and nothing else.

Two samples of one distribution also differ by chance: n m / (n + m) times the index is about
chi-squared with bins - 1 degrees of freedom. A day fails only where it exceeds both the bound of
the contract and what chance explains, so that a small day does not cry wolf.

Source: own; the chi-squared form of the index follows from its second-order expansion.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import chdtri

from data_contracts.model import ROWS_COLUMN, Contract, DriftRule

_CHANCE = 0.999
_SIGMA_PER_MAD = 1.4826
_LEAST_RELATIVE_SIGMA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class DayProfile:
    """Statistics of one day of one table.

    Attributes:
        contract: Contract name.
        version: Contract version; profiles of another version are not compared.
        day: ISO day.
        rows: Number of rows.
        histograms: Rule id -> bin label -> rows.
        means: Rule id -> mean of the column.
        made_from: Hash of the file it was made from and of the way it was made; empty for rows
            that are in no file.
    """

    contract: str
    version: str
    day: str
    rows: int
    histograms: Mapping[str, Mapping[str, int]]
    means: Mapping[str, float]
    made_from: str = ""


@dataclass(frozen=True, slots=True)
class DriftResult:
    """Comparison of one day with the days before, under one rule.

    Attributes:
        rule: The rule.
        value: What its method gives; None when there is too little history.
        limit: The bound, raised to what chance explains.
        days: Days of history.
        day: The day that was compared.
    """

    rule: DriftRule
    value: float | None
    limit: float
    days: int
    day: str


def compare_last_day(contract: Contract, profiles: Sequence[DayProfile]) -> list[DriftResult]:
    """Compare the last day with the days before it, under every drift rule.

    Args:
        contract: The contract.
        profiles: Profiles in order of days, the day to judge last; at least one.

    Returns:
        One result per drift rule.
    """
    last = profiles[-1]
    history = [item for item in profiles[:-1] if item.version == contract.version]
    return [_compare(rule, last, history[-rule.window_days :]) for rule in contract.drift]


def population_stability_index(
    counts: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]
) -> float:
    """Measure how far two histograms are apart: sum of (p - q) log(p / q).

    Half a row is added to every bin, so that an empty bin counts as rare, not as impossible.

    Args:
        counts: [bins] rows of the day.
        reference: [bins] rows of the history.

    Returns:
        The index, >= 0; 0.1 is small, 0.25 is a shift.

    Example:
        >>> population_stability_index(np.array([5.0, 5.0]), np.array([50.0, 50.0]))
        0.0
    """
    p, q = _shares(counts), _shares(reference)
    return float(np.sum((p - q) * np.log(p / q)))


def jensen_shannon_distance(
    counts: npt.NDArray[np.float64], reference: npt.NDArray[np.float64]
) -> float:
    """Measure how far two histograms are apart: root of the Jensen-Shannon divergence in bits.

    Args:
        counts: [bins] rows of the day.
        reference: [bins] rows of the history.

    Returns:
        The distance in [0, 1].
    """
    p, q = _shares(counts), _shares(reference)
    middle = (p + q) / 2
    divergence = np.sum(p * np.log2(p / middle)) + np.sum(q * np.log2(q / middle))
    return float(np.sqrt(max(divergence / 2, 0.0)))


def robust_sigmas(
    value: float, history: npt.NDArray[np.float64], *, least_sigma: float = 0.0
) -> float:
    """Count the robust standard deviations between a value and the median of its history.

    The deviation is at least 5 % of the median, so that a constant history does not make the
    smallest change infinite.

    Args:
        value: Value of the day.
        history: [days] values before.
        least_sigma: Deviation known to come from chance alone.

    Returns:
        Absolute number of sigmas.

    Example:
        >>> robust_sigmas(130.0, np.array([90.0, 100.0, 110.0]))
        2.023472905814367
    """
    median = float(np.median(history))
    mad = float(np.median(np.abs(history - median)))
    sigma = max(_SIGMA_PER_MAD * mad, _LEAST_RELATIVE_SIGMA * abs(median), least_sigma, 1e-12)
    return abs(value - median) / sigma


def _compare(rule: DriftRule, last: DayProfile, history: Sequence[DayProfile]) -> DriftResult:
    """Judge one day under one rule."""
    if rule.method == "robust_sigma":
        return _compare_number(rule, last, history)
    known = [item.histograms[rule.id] for item in history if rule.id in item.histograms]
    now = last.histograms.get(rule.id)
    if now is None or len(known) < rule.min_days:
        return DriftResult(rule, None, rule.bound, len(known), last.day)
    labels = sorted(set(now).union(*known))
    counts = np.array([now.get(label, 0) for label in labels], dtype=np.float64)
    reference = np.array(
        [sum(item.get(label, 0) for item in known) for label in labels], dtype=np.float64
    )
    if counts.sum() == 0 or reference.sum() == 0:
        return DriftResult(rule, None, rule.bound, len(known), last.day)
    chance = float(chdtri(max(len(labels) - 1, 1), 1 - _CHANCE))
    chance *= 1 / counts.sum() + 1 / reference.sum()
    if rule.method == "psi":
        value = population_stability_index(counts, reference)
        limit = max(rule.bound, chance)
    else:
        value = jensen_shannon_distance(counts, reference)
        # Near equality the divergence in nats is an eighth of the stability index.
        limit = max(rule.bound, float(np.sqrt(chance / 8 / np.log(2))))
    return DriftResult(rule, value, limit, len(known), last.day)


def _compare_number(
    rule: DriftRule, last: DayProfile, history: Sequence[DayProfile]
) -> DriftResult:
    """Judge a volume or a mean."""
    if rule.column == ROWS_COLUMN:
        now: float | None = float(last.rows)
        known = [float(item.rows) for item in history]
        # The number of independent arrivals in a day has a variance of its mean; a table whose
        # usual day is empty may still see a few.
        least_sigma = float(np.sqrt(max(np.median(known), 1.0))) if known else 0.0
    else:
        least_sigma = 0.0
        now = last.means.get(rule.id)
        known = [item.means[rule.id] for item in history if rule.id in item.means]
    if now is None or len(known) < rule.min_days:
        return DriftResult(rule, None, rule.bound, len(known), last.day)
    value = robust_sigmas(now, np.array(known), least_sigma=least_sigma)
    return DriftResult(rule, value, rule.bound, len(known), last.day)


def _shares(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Turn counts into smoothed shares."""
    smoothed = counts + 0.5
    return np.asarray(smoothed / smoothed.sum())
