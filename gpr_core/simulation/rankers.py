"""The rankers of the simulator: click, conversion after a click, and hide.

They are trained on logged outcomes only, never on rollouts, and share nothing with the value heads
of the policy. An outcome with too few positives gets smoothed rates per category instead of trees.
Letters: M rows, F features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import lightgbm
import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from scipy.stats import rankdata

from gpr_core.simulation.config import RankerConfig
from gpr_core.simulation.ranker_features import feature_names
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_json, write_text

OUTCOMES = ("ctr", "cvr", "neg")

_LOW, _HIGH = 1e-6, 1.0 - 1e-6
_CATEGORY = feature_names().index("cat_l1")

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]


class OutcomeModel(Protocol):
    """Predicts the probability of one outcome."""

    def predict(self, features_MF: Matrix) -> Floats:
        """Predict.

        Args:
            features_MF: [M, F] float32.

        Returns:
            [M] float64 in (0, 1).
        """

    def save(self, path: Path) -> None:
        """Write the model.

        Args:
            path: File stem; each kind of model adds its own suffixes.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class SmoothedRates:
    """Rates per category, drawn towards the overall rate.

    Attributes:
        overall: Rate over all rows, in (0, 1).
        by_category: Category -> smoothed rate.
    """

    overall: float
    by_category: Mapping[int, float]

    @staticmethod
    def fit(features_MF: Matrix, label_M: Floats, strength: float) -> "SmoothedRates":
        """Count.

        Args:
            features_MF: [M, F] float32; M may be 0.
            label_M: [M] 0 or 1.
            strength: Pseudo-observations.

        Returns:
            The rates; without any positive the overall rate is half a positive in M + 1 rows.
        """
        overall = float((label_M.sum() + 0.5) / (label_M.size + 1.0))
        category_M = features_MF[:, _CATEGORY].astype(np.int64)
        categories, code_M = np.unique(category_M, return_inverse=True)
        hits = np.bincount(code_M, weights=label_M, minlength=categories.size)
        rows = np.bincount(code_M, minlength=categories.size)
        rates = (hits + strength * overall) / (rows + strength)
        return SmoothedRates(
            overall=overall,
            by_category=dict(zip(categories.tolist(), rates.tolist(), strict=True)),
        )

    def predict(self, features_MF: Matrix) -> Floats:
        """Look the category up; see `OutcomeModel`."""
        categories = np.array(sorted(self.by_category), dtype=np.int64)
        rates = np.array([*(self.by_category[key] for key in categories.tolist()), self.overall])
        category_M = features_MF[:, _CATEGORY].astype(np.int64)
        position_M = np.searchsorted(categories, category_M)
        inside_M = np.minimum(position_M, max(categories.size - 1, 0))
        found_M = np.zeros(category_M.size, dtype=bool)
        if categories.size:
            found_M = categories[inside_M] == category_M
        rate_M = rates[np.where(found_M, inside_M, categories.size)]
        return np.asarray(np.clip(rate_M, _LOW, _HIGH))

    def save(self, path: Path) -> None:
        """Write `<path>.json`; see `OutcomeModel`."""
        rates = {str(key): rate for key, rate in self.by_category.items()}
        values = {"kind": "rates", "overall": self.overall, "by_category": rates}
        write_json(path.with_suffix(".json"), values)


@dataclass(frozen=True, slots=True, kw_only=True)
class BoostedTrees:
    """Gradient-boosted trees with a calibrated logit.

    Attributes:
        booster: The trees.
        slope: Factor of the raw logit.
        offset: Added to the logit.
    """

    booster: lightgbm.Booster
    slope: float
    offset: float

    def predict(self, features_MF: Matrix) -> Floats:
        """Sum the trees and calibrate; see `OutcomeModel`."""
        if not len(features_MF):
            return np.zeros(0)
        raw_M = np.asarray(self.booster.predict(features_MF, raw_score=True), dtype=np.float64)
        return np.asarray(np.clip(expit(self.slope * raw_M + self.offset), _LOW, _HIGH))

    def save(self, path: Path) -> None:
        """Write `<path>.txt` and `<path>.json`; see `OutcomeModel`."""
        write_text(path.with_suffix(".txt"), self.booster.model_to_string())
        values = {"kind": "trees", "slope": self.slope, "offset": self.offset}
        write_json(path.with_suffix(".json"), values)


class Outcomes(NamedTuple):
    """Labelled rows in time order, one set per outcome.

    Attributes:
        features_MF: [M, F] float32.
        label_M: [M] float64, 0 or 1.
    """

    features_MF: Matrix
    label_M: Floats


class FitReport(NamedTuple):
    """Quality of one ranker on the latest rows, which it never saw.

    Attributes:
        kind: `trees` or `rates`.
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
    """Fit, calibrate and test one ranker on three consecutive slices of the log.

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
    calibrate_from = round(total * (1.0 - config.test_share - config.calibration_share))
    train, calibrate, test = (
        Outcomes(rows.features_MF[part], rows.label_M[part])
        for part in (
            slice(0, calibrate_from),
            slice(calibrate_from, test_from),
            slice(test_from, total),
        )
    )
    has_both = calibrate.label_M.sum() > 0 and train.label_M.min(initial=1) == 0
    if train.label_M.sum() < config.min_positives or not has_both:
        seen = Outcomes(rows.features_MF[:test_from], rows.label_M[:test_from])
        rates = SmoothedRates.fit(seen.features_MF, seen.label_M, config.prior_strength)
        return rates, measure("rates", rates, test)
    model = _fit_trees(train, calibrate, config, seed=seed, threads=threads)
    return model, measure("trees", model, test)


def measure(kind: str, model: OutcomeModel, rows: Outcomes) -> FitReport:
    """Measure a ranker on rows it never saw.

    Args:
        kind: `trees` or `rates`.
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
    rank_sum = float(rankdata(score_M)[label_M > 0].sum())
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
    if values["kind"] == "rates":
        rates = {int(key): float(rate) for key, rate in values["by_category"].items()}
        return SmoothedRates(overall=values["overall"], by_category=rates)
    if values["kind"] == "trees":
        text = path.with_suffix(".txt").read_text(encoding="utf-8")
        booster = lightgbm.Booster(model_str=text)
        return BoostedTrees(booster=booster, slope=values["slope"], offset=values["offset"])
    raise ArtifactError(
        f"ranker kind {values['kind']!r} is unknown, expected rates or trees",
        where=str(described),
        fix="run the step simulator_snapshot again",
    )


def _fit_trees(
    train: Outcomes, calibrate: Outcomes, config: RankerConfig, *, seed: int, threads: int
) -> BoostedTrees:
    """Grow trees until the calibration slice stops improving, then calibrate on it."""
    parameters = {
        "objective": "binary",
        "learning_rate": config.learning_rate,
        "num_leaves": config.num_leaves,
        "min_data_in_leaf": config.min_leaf_rows,
        "lambda_l2": 5.0,
        "seed": seed % (1 << 31),
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbosity": -1,
    }
    names = feature_names()
    train_set = lightgbm.Dataset(train.features_MF, train.label_M, feature_name=names)
    stop_set = lightgbm.Dataset(calibrate.features_MF, calibrate.label_M, reference=train_set)
    booster = lightgbm.train(
        parameters,
        train_set,
        num_boost_round=config.boosting_rounds,
        valid_sets=[stop_set],
        callbacks=[lightgbm.early_stopping(20, verbose=False)],
    )
    # Saved and loaded once, so that what is used now is what a later process will use.
    booster = lightgbm.Booster(
        model_str=booster.model_to_string(num_iteration=booster.best_iteration)
    )
    raw_M = np.asarray(booster.predict(calibrate.features_MF, raw_score=True), dtype=np.float64)
    slope, offset = fit_logit_calibration(raw_M, calibrate.label_M)
    return BoostedTrees(booster=booster, slope=slope, offset=offset)


def fit_logit_calibration(raw_M: Floats, label_M: Floats) -> tuple[float, float]:
    """Fit slope and offset of a logit by Newton steps, the slope drawn weakly towards 1.

    Args:
        raw_M: [M] raw logits.
        label_M: [M] 0 or 1, at least one of each.

    Returns:
        (slope, offset).

    Source:
        Platt scaling; the ridge on the slope is our own.
    """
    center = float(raw_M.mean())
    design_M2 = np.stack([raw_M - center, np.ones_like(raw_M)], axis=1)
    ridge = np.array([5.0, 0.0])
    weights = np.array([1.0, logit(np.clip(label_M.mean(), _LOW, _HIGH))])
    for _ in range(50):
        p_M = expit(design_M2 @ weights)
        gradient = design_M2.T @ (p_M - label_M) + ridge * (weights - [1.0, 0.0])
        spread_M = p_M * (1.0 - p_M)
        hessian = (design_M2 * spread_M[:, None]).T @ design_M2 + np.diag(ridge)
        change = np.linalg.solve(hessian, gradient)
        weights = weights - change
        if np.abs(change).max() < 1e-10:
            break
    return float(weights[0]), float(weights[1] - weights[0] * center)
