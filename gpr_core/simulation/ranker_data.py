"""Training rows of the rankers: logged requests, what was shown and what came of it.

Letters: M rows, F features.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.catalog.bundle import Catalog
from gpr_core.data.tables import DAY_MS, HOUR_MS, Action
from gpr_core.simulation.as_of_counts import Ints
from gpr_core.simulation.config import RankerConfig
from gpr_core.simulation.ranker_features import RankerFeatures
from gpr_core.simulation.ranker_models import OutcomeModel, Outcomes
from gpr_core.simulation.rankers import OUTCOMES, FitReport, fit_ranker, measure
from gpr_core.support.errors import ContractError
from gpr_core.support.seeding import derive_seed

NEW_AD_DAYS = 3

_LOWEST_EXPOSURE = 1e-6
_LARGEST_WEIGHT = 50.0


class FittedRankers(NamedTuple):
    """All rankers of a snapshot.

    Attributes:
        models: Outcome -> model.
        reports: Outcome -> quality on held-out rows; `ctr_new_ads` counts ads of at most 3 days.
    """

    models: dict[str, OutcomeModel]
    reports: dict[str, FitReport]


class LoggedRows(NamedTuple):
    """Logged requests in time order.

    Attributes:
        features_MF: [M, F] float32, as of each request.
        ts: [M] int64, epoch ms.
        action: [M] int64, `Action`.
        is_hide: [M] bool.
        ad_age_ms: [M] int64, age of the ad at the request.
        exposure_M: [M] float64, chance of the exposure times the number of eligible ads: 1 for a
            uniform choice, large for ads that the logging policy favored.
    """

    features_MF: npt.NDArray[np.float32]
    ts: Ints
    action: Ints
    is_hide: npt.NDArray[np.bool_]
    ad_age_ms: Ints
    exposure_M: npt.NDArray[np.float64]


def logged_rows(
    decisions: pa.Table,
    sequence_key: Ints,
    features: RankerFeatures,
    catalog: Catalog,
    *,
    before_ts: int,
) -> LoggedRows:
    """Build the rows that rankers may see.

    Args:
        decisions: Curated decisions.
        sequence_key: [rows] int64, sequence that each request is read in.
        features: Feature builder.
        catalog: Gives the ranks.
        before_ts: Requests at or after it are left out, epoch ms.

    Returns:
        Rows in time order; synthetic requests and unknown ads are left out.

    Raises:
        ContractError: If no row is left.
    """
    ts = np.asarray(decisions["ts"].to_numpy()).astype(np.int64)
    rank = catalog.trie.rank_of_ads(np.asarray(decisions["ad_key"].to_numpy())).numpy()
    is_real = ~np.asarray(decisions["is_synthetic"].to_numpy(zero_copy_only=False)).astype(bool)
    version = catalog.ads.version_of(ts, np.maximum(rank, 0))
    rows = np.flatnonzero((ts < before_ts) & is_real & (rank >= 0) & (version >= 0))
    if not rows.size:
        raise ContractError(
            f"none of {ts.size} decisions can train the rankers",
            where="corpus decisions",
            fix="check is_synthetic, the catalog and lag_hours",
        )
    rows = rows[np.argsort(ts[rows], kind="stable")]
    readers = decisions.drop_columns(["user_key"]).append_column("user_key", pa.array(sequence_key))
    hide = np.asarray(decisions["is_hide"].to_numpy(zero_copy_only=False)).astype(bool)
    return LoggedRows(
        features_MF=features.matrix(readers, rows, rank[rows]),
        ts=ts[rows],
        action=np.asarray(decisions["action"].to_numpy()).astype(np.int64)[rows],
        is_hide=hide[rows],
        ad_age_ms=ts[rows] - catalog.ads.launch_ts_A[rank[rows]],
        exposure_M=_floats(decisions, "propensity")[rows] * _floats(decisions, "n_eligible")[rows],
    )


def fit_rankers(
    rows: LoggedRows, config: RankerConfig, *, cutoff_ts: int, seed: int, threads: int
) -> FittedRankers:
    """Fit the three rankers.

    Conversions are predicted given a click, from clicks old enough to have converted.

    Args:
        rows: Logged rows.
        config: Parameters.
        cutoff_ts: End of the training day, epoch ms.
        seed: Run seed.
        threads: Threads of the trees.

    Returns:
        Models and their quality.
    """
    clicked = rows.action >= Action.CLICK
    is_mature = rows.ts < cutoff_ts - config.conversion_maturity_days * DAY_MS
    chosen = {
        "ctr": (np.ones_like(clicked), clicked),
        "cvr": (clicked & is_mature, rows.action == Action.CONVERSION),
        "neg": (np.ones_like(clicked), rows.is_hide),
    }
    weight_M = exposure_weights(rows.exposure_M, config.exposure_correction)
    models: dict[str, OutcomeModel] = {}
    reports: dict[str, FitReport] = {}
    for outcome in OUTCOMES:
        mask, label = chosen[outcome]
        part = Outcomes(rows.features_MF[mask], label[mask].astype(np.float64), weight_M[mask])
        models[outcome], reports[outcome] = fit_ranker(
            part, config, seed=derive_seed(seed, "ranker", outcome), threads=threads
        )
    reports["ctr_new_ads"] = _on_new_ads(rows, models["ctr"], config, reports["ctr"].kind)
    return FittedRankers(models, reports)


def exposure_weights(exposure_M: npt.NDArray[np.float64], power: float) -> npt.NDArray[np.float64]:
    """Weigh rows against the taste of the logging policy.

    Args:
        exposure_M: [M] chance of the exposure times the number of eligible ads.
        power: 0 for equal weights, 1 for inverse propensities.

    Returns:
        [M] weights with mean 1; before scaling none is above 50.

    Example:
        >>> exposure_weights(np.array([1.0, 16.0]), 0.5).tolist()
        [1.6, 0.4]
    """
    raw_M = np.minimum(np.maximum(exposure_M, _LOWEST_EXPOSURE) ** -power, _LARGEST_WEIGHT)
    return np.asarray(raw_M / raw_M.mean())


def report_values(reports: Mapping[str, FitReport]) -> dict[str, float]:
    """Flatten quality reports for metrics.

    Args:
        reports: Outcome -> quality.

    Returns:
        Flat name -> number.
    """
    return {
        f"ranker_{outcome}/{name}": float(value)
        for outcome, report in reports.items()
        for name, value in report._asdict().items()
        if name != "kind"
    } | {f"ranker_{outcome}/is_trees": float(r.kind == "trees") for outcome, r in reports.items()}


def _on_new_ads(
    rows: LoggedRows, model: OutcomeModel, config: RankerConfig, kind: str
) -> FitReport:
    """Measure the click ranker on the held-out rows of new ads."""
    test_from = round(rows.ts.size * (1.0 - config.test_share))
    new = np.flatnonzero(rows.ad_age_ms[test_from:] <= NEW_AD_DAYS * 24 * HOUR_MS) + test_from
    label = (rows.action[new] >= Action.CLICK).astype(np.float64)
    return measure(kind, model, Outcomes(rows.features_MF[new], label, np.ones(new.size)))


def _floats(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """Read a numeric column."""
    return np.asarray(table[name].to_numpy()).astype(np.float64)
