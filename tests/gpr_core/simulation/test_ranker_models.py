import numpy as np
import pytest

from gpr_core.simulation.config import RankerConfig
from gpr_core.simulation.ranker_features import NOMINAL_FEATURES, feature_names
from gpr_core.simulation.ranker_models import Outcomes, RidgeLogit, fit_logit, fit_logit_calibration

WIDTH = len(feature_names())


def make_rows(count, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, WIDTH)).astype(np.float32)
    chance = 1 / (1 + np.exp(1.0 - 2.0 * features[:, WIDTH - 1]))
    return Outcomes(features, (rng.random(count) < chance).astype(np.float64), np.ones(count))


def test_names_without_an_order_are_not_weighed():
    rows = make_rows(500)
    model = RidgeLogit.fit(rows, RankerConfig())
    changed = rows.features_MF.copy()
    for name in NOMINAL_FEATURES:
        changed[:, feature_names().index(name)] += 7
    assert np.array_equal(model.predict(changed), model.predict(rows.features_MF))


def test_ridge_draws_weights_towards_zero():
    rows = make_rows(400)
    free = RidgeLogit.fit(rows, RankerConfig(ridge_strength=0.1))
    held = RidgeLogit.fit(rows, RankerConfig(ridge_strength=1000.0))
    assert free.weight_F[-1] > 1.2
    assert 0 < held.weight_F[-1] < 0.5
    assert held.predict(rows.features_MF).mean() == pytest.approx(rows.label_M.mean(), abs=1e-3)


def test_prediction_of_a_row_does_not_depend_on_the_others():
    rows = make_rows(300)
    model = RidgeLogit.fit(rows, RankerConfig())
    whole = model.predict(rows.features_MF)
    assert np.array_equal(whole[17:20], model.predict(rows.features_MF[17:20]))


def test_constant_features_and_outliers_do_no_harm():
    rows = make_rows(300)
    rows.features_MF[:, WIDTH - 2] = 3.0
    model = RidgeLogit.fit(rows, RankerConfig())
    wild = rows.features_MF[:1].copy()
    wild[:] = 1e9
    assert 0 < model.predict(wild)[0] < 1
    assert np.isfinite(model.weight_F).all()


def test_weights_count_rows():
    ones = np.ones((2, 1))
    rows = Outcomes(np.zeros((2, WIDTH), np.float32), np.array([1.0, 0.0]), np.array([3.0, 1.0]))
    offset = fit_logit(ones, rows, np.zeros(1), np.zeros(1))[0]
    # The weighted rate is 3 / 4.
    assert offset == pytest.approx(np.log(3.0))


def test_logit_calibration_restores_the_mean_and_the_slope():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=4000)
    label = (rng.random(4000) < 1 / (1 + np.exp(-(2.0 * raw - 1.0)))).astype(np.float64)
    rows = Outcomes(np.zeros((4000, WIDTH), np.float32), label, np.ones(4000))
    slope, offset = fit_logit_calibration(raw, rows)
    predicted = 1 / (1 + np.exp(-(slope * raw + offset)))
    assert predicted.mean() == pytest.approx(label.mean(), abs=1e-9)
    assert slope == pytest.approx(2.0, abs=0.15)


def test_rows_are_cut_together():
    part = make_rows(10).part(2, 5)
    assert (len(part.features_MF), len(part.label_M), len(part.weight_M)) == (3, 3, 3)
