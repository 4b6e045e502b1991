import numpy as np
import pytest

from gpr_core.simulation.config import RankerConfig
from gpr_core.simulation.ranker_features import feature_names
from gpr_core.simulation.rankers import (
    OUTCOMES,
    Outcomes,
    SmoothedRates,
    area_under_curve,
    calibration_error,
    fit_logit_calibration,
    fit_ranker,
    load_rankers,
    measure,
    save_rankers,
)
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import write_json

CATEGORY = feature_names().index("cat_l1")


def make_rows(count, rate_of, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, len(feature_names()))).astype(np.float32)
    features[:, CATEGORY] = rng.integers(0, 3, count)
    return Outcomes(features, (rng.random(count) < rate_of(features)).astype(np.float64))


def test_trees_learn_and_are_calibrated():
    rows = make_rows(8000, lambda x: 1 / (1 + np.exp(2.0 - 1.5 * x[:, 0])))
    model, report = fit_ranker(rows, RankerConfig(), seed=3, threads=1)
    assert report.kind == "trees"
    # The true logit 1.5 x - 2 itself has an AUC near 0.79 on such rows.
    assert 0.74 < report.auc < 0.85
    assert abs(report.calibration - 1.0) < 0.15
    assert report.ece < 0.05
    assert bool((model.predict(rows.features_MF) > 0).all())


def test_same_seed_gives_the_same_file(tmp_path):
    rows = make_rows(3000, lambda x: 0.1 + 0.4 * (x[:, 0] > 0))
    texts = []
    for name in ("a", "b"):
        model, _ = fit_ranker(rows, RankerConfig(), seed=3, threads=1)
        model.save(tmp_path / name)
        texts.append((tmp_path / f"{name}.txt").read_bytes())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("rate", [0.0, 0.02, 1.0])
def test_rare_or_constant_outcomes_get_smoothed_rates(rate):
    rows = make_rows(400, lambda x: np.full(len(x), rate))
    model, report = fit_ranker(rows, RankerConfig(), seed=0, threads=1)
    assert isinstance(model, SmoothedRates)
    assert report.kind == "rates"
    prediction = model.predict(rows.features_MF)
    assert bool(((prediction > 0) & (prediction < 1)).all())


def test_no_row_at_all_gives_a_rate():
    none = Outcomes(np.zeros((0, len(feature_names())), np.float32), np.zeros(0))
    model, report = fit_ranker(none, RankerConfig(), seed=0, threads=1)
    assert model.predict(np.zeros((2, len(feature_names())), np.float32)).tolist() == [0.5, 0.5]
    assert (report.rows, report.auc, report.calibration) == (0, 0.5, 0.0)


def test_rates_are_drawn_towards_the_overall_rate():
    features = np.zeros((4, len(feature_names())), np.float32)
    features[:, CATEGORY] = [1, 1, 1, 2]
    model = SmoothedRates.fit(features, np.array([1.0, 1.0, 0.0, 0.0]), strength=1.0)
    # Overall (2 + 0.5) / (4 + 1) = 0.5; category 1: (2 + 0.5) / 4; category 2: 0.5 / 2.
    features[:, CATEGORY] = [1, 2, 3, 0]
    assert model.predict(features).tolist() == [0.625, 0.25, 0.5, 0.5]


def test_rankers_survive_the_disk(tmp_path):
    rows = make_rows(3000, lambda x: 0.1 + 0.4 * (x[:, 0] > 0))
    trees, _ = fit_ranker(rows, RankerConfig(), seed=3, threads=1)
    rates = SmoothedRates.fit(rows.features_MF, rows.label_M, 20.0)
    save_rankers(tmp_path, {"ctr": trees, "cvr": rates, "neg": rates})
    loaded = load_rankers(tmp_path)
    for outcome, model in {"ctr": trees, "cvr": rates, "neg": rates}.items():
        expected = model.predict(rows.features_MF)
        assert np.array_equal(loaded[outcome].predict(rows.features_MF), expected)
    assert trees.predict(rows.features_MF[:0]).shape == (0,)


def test_missing_ranker_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="ranker is missing"):
        load_rankers(tmp_path)


def test_unknown_kind_is_refused(tmp_path):
    for outcome in OUTCOMES:
        write_json(tmp_path / f"{outcome}.json", {"kind": "oracle"})
    with pytest.raises(ArtifactError, match="'oracle' is unknown, expected rates or trees"):
        load_rankers(tmp_path)


def test_area_under_curve_counts_ties_half():
    score, label = np.array([1.0, 1.0, 2.0, 0.0]), np.array([1.0, 0.0, 1.0, 0.0])
    # Pairs: (1 vs 1) half, (1 vs 0) won, (2 vs 1) won, (2 vs 0) won.
    assert area_under_curve(score, label) == 0.875
    assert area_under_curve(score, np.zeros(4)) == 0.5


def test_calibration_error_of_two_bins():
    prediction, label = np.array([0.1, 0.1, 0.9, 0.9]), np.array([0.0, 0.0, 1.0, 0.0])
    # Bins (0.1, 0.1) and (0.9, 0.9): gaps 0.2 and 0.8 over 4 rows.
    assert calibration_error(prediction, label, bins=2) == pytest.approx(0.25)
    assert calibration_error(prediction[:0], label[:0]) == 0.0


def test_logit_calibration_restores_the_mean():
    rng = np.random.default_rng(0)
    raw = rng.normal(size=4000)
    label = (rng.random(4000) < 1 / (1 + np.exp(-(2.0 * raw - 1.0)))).astype(np.float64)
    slope, offset = fit_logit_calibration(raw, label)
    predicted = 1 / (1 + np.exp(-(slope * raw + offset)))
    assert predicted.mean() == pytest.approx(label.mean(), abs=1e-9)
    assert slope == pytest.approx(2.0, abs=0.15)


def test_measure_without_positives_has_calibration_zero():
    rows = Outcomes(np.zeros((2, len(feature_names())), np.float32), np.zeros(2))
    report = measure("rates", SmoothedRates(overall=0.5, by_category={}), rows)
    assert (report.calibration, report.auc) == (0.0, 0.5)
