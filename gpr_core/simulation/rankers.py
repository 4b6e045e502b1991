"""The rankers of the simulator: click, conversion after a click, and hide.

They are trained on logged outcomes only, never on rollouts, and share nothing with the value heads
of the policy. Rows count less the more the logging policy favored their ad, so that predictions
hold for the ads that it did not show, too. Letters: M rows, F features.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lightgbm
import numpy as np

from gpr_core.simulation.config import RankerConfig
from gpr_core.simulation.ranker_models import (
    BoostedTrees,
    Floats,
    OutcomeModel,
    Outcomes,
    RidgeLogit,
    fit_trees,
)
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json

OUTCOMES = ("ctr", "cvr", "neg")


class FitReport(NamedTuple):
    """Quality of one ranker on the latest rows, which it never saw.

    Attributes:
        kind: `trees` or `linear`.
        rows: Held-out rows.
        positives: Positive ones among them.
        auc: Probability that a positive row is scored above a negative one; 0.5 if there are not
            both.
        calibration: Mean prediction over mean outcome; 0 if there is no positive.
        ece: Mean absolute difference of prediction and outcome over ten bins of equal size.
    """

    kind: str
    rows: int
    positives: int
    auc: float
    calibration: float
    ece: float


def fit_ranker(
    rows: Outcomes, config: RankerConfig, *, seed: int, threads: int
) -> tuple[OutcomeModel, FitReport]:
    """Fit, choose and test one ranker on three consecutive slices of the log.

    A linear logit always, and boosted trees where there are enough positives, are fitted on the
    first slice; the one with the smaller weighted log-loss on the second is kept. The second slice
    also stops and calibrates the trees; a linear model is fitted again on both. The third slice is
    only measured.

    Args:
        rows: Labelled rows in time order.
        config: Parameters.
        seed: Seed of the trees.
        threads: Threads of the trees.

    Returns:
        The model and its quality on the last slice.
    """
    total = rows.label_M.size
    test_from = round(total * (1.0 - config.test_share))
    choose_from = round(total * (1.0 - config.test_share - config.calibration_share))
    train, choose = rows.part(0, choose_from), rows.part(choose_from, test_from)
    test = rows.part(test_from, total)
    if _has_both(choose) and _has_both(train) and train.label_M.sum() >= config.min_positives:
        trees = fit_trees(train, choose, config, seed=seed, threads=threads)
        if log_loss(trees, choose) < log_loss(RidgeLogit.fit(train, config), choose):
            return trees, measure("trees", trees, test)
    model = RidgeLogit.fit(rows.part(0, test_from), config)
    return model, measure("linear", model, test)


def log_loss(model: OutcomeModel, rows: Outcomes) -> float:
    """Weighted mean negative log-likelihood.

    Args:
        model: The ranker.
        rows: At least one row.

    Returns:
        Nats per row.
    """
    p_M = model.predict(rows.features_MF)
    chance_M = np.where(rows.label_M > 0, p_M, 1.0 - p_M)
    return float(-(rows.weight_M * np.log(chance_M)).sum() / rows.weight_M.sum())


def measure(kind: str, model: OutcomeModel, rows: Outcomes) -> FitReport:
    """Measure a ranker on rows it never saw.

    Args:
        kind: `trees` or `linear`.
        model: The ranker.
        rows: Held-out rows.

    Returns:
        Its quality.
    """
    prediction_M = model.predict(rows.features_MF)
    positives = int(rows.label_M.sum())
    return FitReport(
        kind=kind,
        rows=rows.label_M.size,
        positives=positives,
        auc=area_under_curve(prediction_M, rows.label_M),
        calibration=float(prediction_M.sum() / positives) if positives else 0.0,
        ece=calibration_error(prediction_M, rows.label_M),
    )


def area_under_curve(score_M: Floats, label_M: Floats) -> float:
    """Probability that a positive row scores above a negative one, ties counting half.

    Args:
        score_M: [M] scores.
        label_M: [M] 0 or 1.

    Returns:
        In [0, 1]; 0.5 without both kinds of rows.

    Example:
        >>> area_under_curve(np.array([0.1, 0.4, 0.3]), np.array([0.0, 1.0, 1.0]))
        1.0
    """
    positives = int(label_M.sum())
    negatives = label_M.size - positives
    if not positives or not negatives:
        return 0.5
    # Equal scores share the mean of their ranks. (scipy.stats takes half a second to import.)
    _, place_M, count_U = np.unique(score_M, return_inverse=True, return_counts=True)
    rank_U = np.cumsum(count_U) - (count_U - 1) / 2
    rank_sum = float(rank_U[place_M][label_M > 0].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def calibration_error(prediction_M: Floats, label_M: Floats, bins: int = 10) -> float:
    """Mean absolute gap between prediction and outcome over bins of equal size.

    Args:
        prediction_M: [M] probabilities.
        label_M: [M] 0 or 1.
        bins: Number of bins.

    Returns:
        In [0, 1]; 0 without rows.
    """
    if not label_M.size:
        return 0.0
    order_M = np.argsort(prediction_M, kind="stable")
    gap_M = (prediction_M - label_M)[order_M]
    return float(sum(abs(part.sum()) for part in np.array_split(gap_M, bins)) / label_M.size)


def save_rankers(folder: Path, rankers: Mapping[str, OutcomeModel]) -> None:
    """Write all rankers.

    Args:
        folder: New or existing folder.
        rankers: Outcome -> model, for each of `OUTCOMES`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for outcome in OUTCOMES:
        rankers[outcome].save(folder / outcome)


def load_rankers(folder: Path) -> dict[str, OutcomeModel]:
    """Read all rankers.

    Args:
        folder: Folder that `save_rankers` wrote.

    Returns:
        Outcome -> model.

    Raises:
        ArtifactError: If a file is missing or of an unknown kind.
    """
    return {outcome: _load_one(folder / outcome) for outcome in OUTCOMES}


def _load_one(path: Path) -> OutcomeModel:
    """Read one ranker."""
    described = path.with_suffix(".json")
    if not described.exists():
        raise ArtifactError(
            "ranker is missing", where=str(described), fix="run the step simulator_snapshot"
        )
    values: dict[str, Any] = read_json(described)
    if values["kind"] == "linear":
        return RidgeLogit(
            center_F=np.array(values["center"]),
            spread_F=np.array(values["spread"]),
            weight_F=np.array(values["weight"]),
            offset=values["offset"],
        )
    if values["kind"] == "trees":
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        booster = lightgbm.Booster(model_str=text)
        return BoostedTrees(booster=booster, slope=values["slope"], offset=values["offset"])
    raise ArtifactError(
        f"ranker kind {values['kind']!r} is unknown, expected linear or trees",
        where=str(described),
        fix="run the step simulator_snapshot again",
    )


def _has_both(rows: Outcomes) -> bool:
    """Say whether an outcome both happened and failed to."""
    return bool(0 < rows.label_M.sum() < rows.label_M.size)
