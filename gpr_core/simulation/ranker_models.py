"""The two kinds of ranker: a ridge logit, and boosted trees with a calibrated logit.

Letters: M rows, F features.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import lightgbm
import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from gpr_core.simulation.config import RankerConfig
from gpr_core.simulation.ranker_features import NOMINAL_FEATURES, feature_names
from gpr_core.support.files import write_json, write_text

_LOW, _HIGH = 1e-6, 1.0 - 1e-6
_PRIOR_ROWS = 20.0
_LARGEST = 4.0
_NEWTON_STEPS = 60
_SMALL_STEP = 1e-10
_NUMERIC = [idx for idx, name in enumerate(feature_names()) if name not in NOMINAL_FEATURES]

Floats = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.float32]


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
        rows = slice(first, end)
        return Outcomes(self.features_MF[rows], self.label_M[rows], self.weight_M[rows])


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
    def fit(rows: Outcomes, config: RankerConfig) -> "RidgeLogit":
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


def fit_trees(
    train: Outcomes, choose: Outcomes, config: RankerConfig, *, seed: int, threads: int
) -> BoostedTrees:
    """Grow trees until the second slice stops improving, then calibrate the logit on it.

    Args:
        train: Rows to grow on.
        choose: Rows that stop the growth and calibrate; at least one label of each.
        config: Parameters.
        seed: Seed of the trees.
        threads: Threads.

    Returns:
        The model.
    """
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
