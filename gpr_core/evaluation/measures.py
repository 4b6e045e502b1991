"""From proposals to numbers: one column per method and metric, then means with intervals.

Letters: B requests, P ads of the pool, K candidates.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.intervals import Interval, UserBootstrap
from gpr_core.evaluation.next_day import NextDay, illegal_by_rules
from gpr_core.evaluation.policies import Proposals
from gpr_core.evaluation.ranked_ads import NO_AD, check_distinct
from gpr_core.evaluation.retrieval import ad_positions, hits, only_where, path_positions
from gpr_core.evaluation.value import (
    list_value,
    ndcg,
    ordered_pair_rate,
    pooled_range,
    rank_correlation,
    scale,
)
from gpr_core.evaluation.worth import PairWorth, TruthOfDay

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = dict[str, Floats]

_CLIP_PERCENT = 1.0


class ValueScale(NamedTuple):
    """The range that final values of all methods are scaled by.

    Attributes:
        low: Lowest raw value.
        high: Highest raw value.
        clipped_low: 1st percentile.
        clipped_high: 99th percentile.
    """

    low: float
    high: float
    clipped_low: float
    clipped_high: float


def count_illegal_ads(day: NextDay, proposals: Mapping[str, Proposals]) -> dict[str, int]:
    """Count ads that may not serve their request, and refuse repeated ones.

    Args:
        day: The evaluation day.
        proposals: Method -> proposals.

    Returns:
        Method -> illegal ads over both lists.

    Raises:
        LegalityError: If a list holds an ad twice.
    """
    counts = {}
    for name, offer in proposals.items():
        counts[name] = 0
        for lists in (offer.retrieval, offer.auction):
            check_distinct(name, lists)
            row, place = np.nonzero(lists.is_ad())
            illegal_M = illegal_by_rules(day, row, lists.rank_BK[row, place])
            counts[name] += int(illegal_M.sum())
    return counts


def retrieval_columns(
    day: NextDay, proposals: Mapping[str, Proposals], config: EvaluationConfig
) -> Columns:
    """Measure hit rates.

    Args:
        day: The evaluation day.
        proposals: Method -> proposals.
        config: List lengths.

    Returns:
        `<method>/<metric>` -> [B] float64; NaN where a request does not count.
    """
    path_A = day.catalog.catalog.trie.leaves().numpy()
    columns: Columns = {}
    for name, offer in proposals.items():
        ad_B = ad_positions(offer.retrieval, day.truth_B)
        path_B = path_positions(offer.retrieval, day.truth_B, path_A)
        for k in config.hit_rate_ks:
            columns[f"{name}/HR_ad@{k}"] = hits(ad_B, k)
            columns[f"{name}/HR_path@{k}"] = hits(path_B, k)
            new_B = only_where(hits(ad_B, k), day.is_new_B)
            columns[f"{name}/no_repeat_HR_ad@{k}"] = new_B
    return columns


def value_columns(
    proposals: Mapping[str, Proposals],
    pool_BP: Ints,
    simulated: PairWorth,
    config: EvaluationConfig,
) -> tuple[Columns, ValueScale]:
    """Measure value as the simulator sees it.

    Args:
        proposals: Method -> proposals.
        pool_BP: [B, P] int64 fixed pool.
        simulated: Worth of all pairs by the frozen rankers.
        config: List lengths.

    Returns:
        `<method>/<metric>` -> [B] float64, and the range shared by all methods.
    """
    raw = {
        name: (simulated.of(offer.auction.rank_BK).final_value, offer.auction.is_ad())
        for name, offer in proposals.items()
    }
    scales = ValueScale(*pooled_range(raw), *pooled_range(raw, clip_percent=_CLIP_PERCENT))
    columns = _pool_columns("", proposals, pool_BP, simulated, config)
    for name, (value_BK, is_ad_BK) in raw.items():
        plain = list_value(value_BK, is_ad_BK, config.value_candidates)
        scaled_BK = scale(value_BK, scales.low, scales.high)
        scaled = list_value(scaled_BK, is_ad_BK, config.value_candidates)
        clipped_BK = scale(value_BK, scales.clipped_low, scales.clipped_high)
        clipped = list_value(clipped_BK, is_ad_BK, config.value_candidates)
        columns[f"{name}/final_value_mean"] = scaled.mean_B
        columns[f"{name}/final_value_max"] = scaled.max_B
        columns[f"{name}/final_value_mean_clipped"] = clipped.mean_B
        columns[f"{name}/final_value_mean_raw"] = plain.mean_B
        columns[f"{name}/final_value_max_raw"] = plain.max_B
        columns[f"{name}/coverage"] = plain.coverage_B
    return columns, scales


def truth_columns(
    proposals: Mapping[str, Proposals],
    pool_BP: Ints,
    simulated: PairWorth,
    truth: TruthOfDay,
    config: EvaluationConfig,
) -> Columns:
    """Measure value as the truth has it.

    Args:
        proposals: Method -> proposals.
        pool_BP: [B, P] int64 fixed pool.
        simulated: Worth of all pairs by the frozen rankers.
        truth: The truth about the day.
        config: List lengths.

    Returns:
        `<method>/<metric>` -> [B] float64, `truth/uniform_mean`, `truth/best_mean` and
        `truth/fidelity`, the rank correlation of simulated and true value in the pool.
    """
    columns = _pool_columns("true_", proposals, pool_BP, truth.pairs, config)
    for name, offer in proposals.items():
        true_BK = truth.pairs.of(offer.auction.rank_BK).final_value
        seen_BK = simulated.of(offer.auction.rank_BK).final_value
        is_ad_BK = offer.auction.is_ad()
        true = list_value(true_BK, is_ad_BK, config.value_candidates)
        seen = list_value(seen_BK, is_ad_BK, config.value_candidates)
        columns[f"{name}/true_value_mean"] = true.mean_B
        columns[f"{name}/true_value_max"] = true.max_B
        columns[f"{name}/value_gap"] = seen.mean_B - true.mean_B
    columns["truth/uniform_mean"] = truth.uniform_mean_B
    columns["truth/best_mean"] = truth.best_mean_B
    columns["truth/fidelity"] = rank_correlation(
        np.nan_to_num(simulated.of(pool_BP).final_value),
        np.nan_to_num(truth.pairs.of(pool_BP).final_value),
        pool_BP != NO_AD,
    )
    return columns


def summarize(columns: Columns, bootstrap: UserBootstrap) -> dict[str, Interval]:
    """Average all columns, with intervals.

    Args:
        columns: Name -> [B] float64.
        bootstrap: Resamples of the users of these requests.

    Returns:
        Name -> mean and interval, and `<method>/oracle_efficiency` where the truth is known;
        columns that no request counts for are left out.
    """
    names = list(columns)
    draws = bootstrap.draws(np.stack([columns[name] for name in names], axis=1))
    found = {
        name: bootstrap.summarize(draws.mean_M[place], draws.draw_SM[:, place], int(n))
        for place, (name, n) in enumerate(zip(names, draws.n_M, strict=True))
    }
    if "truth/best_mean" in columns:
        low, high = names.index("truth/uniform_mean"), names.index("truth/best_mean")
        for name in names:
            method, metric = name.split("/")
            if metric == "true_value_mean":
                place = names.index(name)
                with np.errstate(invalid="ignore", divide="ignore"):
                    mean, draw_S = (
                        (values[..., place] - values[..., low])
                        / (values[..., high] - values[..., low])
                        for values in (draws.mean_M, draws.draw_SM)
                    )
                found[f"{method}/oracle_efficiency"] = bootstrap.summarize(
                    float(mean), draw_S, int(draws.n_M[place])
                )
    return {name: interval for name, interval in found.items() if interval is not None}


def _pool_columns(
    prefix: str,
    proposals: Mapping[str, Proposals],
    pool_BP: Ints,
    worth: PairWorth,
    config: EvaluationConfig,
) -> Columns:
    """Judge how each method orders the fixed pool."""
    gain_BP, in_pool_BP = worth.of(pool_BP).ecpm, pool_BP != NO_AD
    columns: Columns = {}
    for name, offer in proposals.items():
        score_BP = offer.pool_score_BP
        columns[f"{name}/{prefix}ndcg"] = ndcg(score_BP, gain_BP, in_pool_BP)
        columns[f"{name}/{prefix}opr"] = ordered_pair_rate(
            score_BP, gain_BP, in_pool_BP, min_relative_gap=config.min_relative_gap
        )
    return columns
