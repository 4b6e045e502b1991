"""The rankers of the simulator: click, conversion after a click, and hide.

They are trained on logged outcomes only, never on rollouts, and share nothing with the value heads
of the policy. Rows count less the more the logging policy favored their ad, so that predictions hold
for the ads that it did not show, too.
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
from gpr_core.simulation.ranker_features import NOMINAL_FEATURES, feature_names
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_json, write_text

OUTCOMES = ("ctr", "cvr", "neg")

_LOW, _HIGH = 1e-6, 1.0 - 1e-6
_PRIOR_ROWS = 20.0
_LARGEST = 4.0
_NEWTON_STEPS = 60
_SMALL_STEP = 1e-10
_NUMERIC = [idx for idx, name in enumerate(feature_names()) if name not in NOMINAL_FEATURES]

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
class RidgeLogit:
    """A linear logit over standardized numeric features.

    Few positives say little, and the ridge keeps their say small; what was never seen gets a prior
    rate. Codes without an order (category, brand, scene, ...) enter through their rates only.

    Attributes:
        center_F: [F] mean of each used feature.
        spread_F: [F] standard deviation, 1 for a constant feature.
        weight_F: [F] weights of the standardized features.
        offset: Logit of a row with mean features.
    """

    center_F: Floats
    spread_F: Floats
    weight_F: Floats
    offset: float

    @staticmethod
    def fit(rows: "Outcomes", config: RankerConfig) -> "RidgeLogit":
        """Fit by Newton steps.

        Args:
            rows: Labelled rows; there may be none.
            config: Ridge and prior.

        Returns:
            The model.
        """
        used_MF = rows.features_MF[:, _NUMERIC].astype(np.float64)
        positives, total = float(rows.label_M.sum()), rows.label_M.size
        center_F, spread_F = np.zeros(len(_NUMERIC)), np.ones(len(_NUMERIC))
        if positives in (0.0, float(total)):
            rate = (positives + _PRIOR_ROWS * config.prior_rate) / (total + _PRIOR_ROWS)
            return RidgeLogit(
                center_F=center_F,
                spread_F=spread_F,
                weight_F=center_F,
                offset=float(logit(np.clip(rate, _LOW, _HIGH))),
            )
        center_F, spread_F = used_MF.mean(0), used_MF.std(0)
        spread_F = np.where(spread_F > 0, spread_F, 1.0)
        design_MF = _standardize(used_MF, center_F, spread_F)
        ridge = np.append(np.full(len(_NUMERIC), config.ridge_strength), 0.0)
        weights = fit_logit(np.column_stack([design_MF, np.ones(total)]), rows, ridge, ridge * 0)
        return RidgeLogit(
            center_F=center_F, spread_F=spread_F, weight_F=weights[:-1], offset=float(weights[-1])
        )

    def predict(self, features_MF: Matrix) -> Floats:
        """Weigh and add; see `OutcomeModel`."""
        used_MF = features_MF[:, _NUMERIC].astype(np.float64)
        # A sum per row, not a matrix product: its bits must not depend on the number of rows.
        raw_M = (_standardize(used_MF, self.center_F, self.spread_F) * self.weight_F).sum(1)
        return np.asarray(np.clip(expit(raw_M + self.offset), _LOW, _HIGH))

    def save(self, path: Path) -> None:
        """Write `<path>.json`; see `OutcomeModel`."""
        values = {
            "kind": "linear",
            "center": self.center_F.tolist(),
            "spread": self.spread_F.tolist(),
            "weight": self.weight_F.tolist(),
            "offset": self.offset,
        }
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
        weight_M: [M] float64 > 0, how much each row counts in fitting.
    """

    features_MF: Matrix
    label_M: Floats
    weight_M: Floats

    def part(self, first: int, end: int) -> "Outcomes":
        """Cut consecutive rows.

        Args:
            first: First row.
            end: Row after the last one.

        Returns:
            The rows between.
        """
        return Outcomes(*(column[first:end] for column in self))


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
    if 0 < choose.label_M.sum() < choose.label_M.size:
        if config.min_positives <= train.label_M.sum() < train.label_M.size:
            trees = _fit_trees(train, choose, config, seed=seed, threads=threads)
            linear = RidgeLogit.fit(train, config)
            if log_loss(trees, choose) < log_loss(linear, choose):
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


def fit_logit(design_MF: Floats, rows: Outcomes, ridge_F: Floats, goal_F: Floats) -> Floats:
    """Fit a weighted logistic regression whose weights are drawn towards a goal.

    Args:
        design_MF: [M, F] float64, a column of ones last.
        rows: Labels, at least one of each, and weights.
        ridge_F: [F] strength of the pull of each weight.
        goal_F: [F] where the weights are pulled.

    Returns:
        [F] float64 weights.
    """
    label_M, weight_M = rows.label_M, rows.weight_M
    weights = goal_F.copy()
    weights[-1] = logit(np.clip((weight_M * label_M).sum() / weight_M.sum(), _LOW, _HIGH))
    for _ in range(_NEWTON_STEPS):
        p_M = expit(design_MF @ weights)
        gradient = design_MF.T @ (weight_M * (p_M - label_M)) + ridge_F * (weights - goal_F)
        spread_M = weight_M * p_M * (1.0 - p_M)
        hessian = (design_MF * spread_M[:, None]).T @ design_MF + np.diag(ridge_F)
        change = np.linalg.solve(hessian, gradient)
        weights = weights - change
        if np.abs(change).max() < _SMALL_STEP:
            break
    return weights


def _standardize(used_MF: Floats, center_F: Floats, spread_F: Floats) -> Floats:
    """Center and scale features; what is far outside is cut, so that no row gets out of hand."""
    return np.asarray(np.clip((used_MF - center_F) / spread_F, -_LARGEST, _LARGEST))


def _fit_trees(
    train: Outcomes, choose: Outcomes, config: RankerConfig, *, seed: int, threads: int
) -> BoostedTrees:
    """Grow trees until the second slice stops improving, then calibrate the logit on it."""
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
    train_set = lightgbm.Dataset(
        train.features_MF, train.label_M, weight=train.weight_M, feature_name=names
    )
    stop_set = lightgbm.Dataset(
        choose.features_MF, choose.label_M, weight=choose.weight_M, reference=train_set
    )
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
    raw_M = np.asarray(booster.predict(choose.features_MF, raw_score=True), dtype=np.float64)
    slope, offset = fit_logit_calibration(raw_M, choose)
    return BoostedTrees(booster=booster, slope=slope, offset=offset)


def fit_logit_calibration(raw_M: Floats, rows: Outcomes) -> tuple[float, float]:
    """Fit slope and offset of a logit, the slope drawn weakly towards 1.

    Args:
        raw_M: [M] raw logits.
        rows: Labels, at least one of each, and weights.

    Returns:
        (slope, offset).

    Source:
        Platt scaling; the ridge on the slope is our own.
    """
    center = float(raw_M.mean())
    design_M2 = np.column_stack([raw_M - center, np.ones(raw_M.size)])
    weights = fit_logit(design_M2, rows, np.array([5.0, 0.0]), np.array([1.0, 0.0]))
    return float(weights[0]), float(weights[1] - weights[0] * center)
