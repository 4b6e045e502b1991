import numpy as np
import pytest

from gpr_core.simulation.config import RankerConfig
from gpr_core.simulation.ranker_features import feature_names
from gpr_core.simulation.ranker_models import Outcomes, RidgeLogit
from gpr_core.simulation.rankers import (
    OUTCOMES,
    area_under_curve,
    calibration_error,
    fit_ranker,
    load_rankers,
    log_loss,
    measure,
    save_rankers,
)
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import write_json

WIDTH = len(feature_names())
AGE, DAYS = feature_names().index("ad_age_days"), feature_names().index("interest_3d_share")
NOTHING = np.zeros((2, WIDTH), np.float32)


def make_rows(count, rate_of, seed=0):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, WIDTH)).astype(np.float32)
    label = (rng.random(count) < rate_of(features)).astype(np.float64)
    return Outcomes(features, label, np.ones(count))


def linear(features):
    return 1 / (1 + np.exp(2.0 - 1.5 * features[:, AGE]))


def bent(features):
    return np.where(features[:, AGE] * features[:, DAYS] > 0, 0.6, 0.05)


def test_linear_outcomes_get_the_linear_model():
    rows = make_rows(1600, linear)
    model, report = fit_ranker(rows, RankerConfig(), seed=3, threads=1)
    assert isinstance(model, RidgeLogit)
    assert report.kind == "linear"
    # The true logit 1.5 x - 2 itself has an AUC near 0.79 on such rows.
    assert 0.7 < report.auc < 0.9
    assert abs(report.calibration - 1.0) < 0.3
    assert report.ece < 0.1


def test_outcomes_of_an_interaction_get_calibrated_trees():
    rows = make_rows(4000, bent)
    model, report = fit_ranker(rows, RankerConfig(), seed=3, threads=1)
    assert report.kind == "trees"
    assert report.auc > 0.75
    assert abs(report.calibration - 1.0) < 0.15
    assert bool((model.predict(rows.features_MF) > 0).all())


def test_same_seed_gives_the_same_file(tmp_path):
    rows = make_rows(3000, bent)
    texts = []
    for name in ("a", "b"):
        model, _ = fit_ranker(rows, RankerConfig(), seed=3, threads=1)
        model.save(tmp_path / name)
        texts.append((tmp_path / f"{name}.txt").read_bytes())
    assert texts[0] == texts[1]


@pytest.mark.parametrize(("rate", "expected"), [(0.0, 0.4 / 360), (1.0, 340.4 / 360)])
def test_outcome_never_or_always_seen_gets_a_prior(rate, expected):
    rows = make_rows(400, lambda x: np.full(len(x), rate))
    model, report = fit_ranker(rows, RankerConfig(), seed=0, threads=1)
    # 340 rows are fitted; 20 prior rows have rate 0.02.
    np.testing.assert_allclose(model.predict(NOTHING), [expected] * 2, rtol=1e-9)
    assert report.kind == "linear"


def test_no_row_at_all_gives_the_prior_rate():
    none = Outcomes(NOTHING[:0], np.zeros(0), np.zeros(0))
    model, report = fit_ranker(none, RankerConfig(prior_rate=0.25), seed=0, threads=1)
    np.testing.assert_allclose(model.predict(NOTHING), [0.25, 0.25])
    assert (report.rows, report.auc, report.calibration) == (0, 0.5, 0.0)


def test_rankers_survive_the_disk(tmp_path):
    rows = make_rows(3000, bent)
    trees, _ = fit_ranker(rows, RankerConfig(), seed=3, threads=1)
    logit = RidgeLogit.fit(rows, RankerConfig())
    save_rankers(tmp_path, {"ctr": trees, "cvr": logit, "neg": logit})
    loaded = load_rankers(tmp_path)
    for outcome, model in {"ctr": trees, "cvr": logit, "neg": logit}.items():
        expected = model.predict(rows.features_MF)
        assert np.array_equal(loaded[outcome].predict(rows.features_MF), expected)
    assert trees.predict(NOTHING[:0]).shape == (0,)


def test_log_loss_is_weighted():
    model = RidgeLogit.fit(Outcomes(NOTHING[:0], np.zeros(0), np.zeros(0)), RankerConfig())
    rows = Outcomes(NOTHING, np.array([1.0, 0.0]), np.array([3.0, 1.0]))
    # The model says 0.02 everywhere.
    expected = -(3 * np.log(0.02) + np.log(0.98)) / 4
    assert log_loss(model, rows) == pytest.approx(expected)


def test_missing_ranker_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="ranker is missing"):
        load_rankers(tmp_path)


def test_unknown_kind_is_refused(tmp_path):
    for outcome in OUTCOMES:
        write_json(tmp_path / f"{outcome}.json", {"kind": "oracle"})
    with pytest.raises(ArtifactError, match="'oracle' is unknown, expected linear or trees"):
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


def test_measure_without_positives_has_calibration_zero():
    rows = Outcomes(NOTHING, np.zeros(2), np.ones(2))
    report = measure("linear", RidgeLogit.fit(rows, RankerConfig()), rows)
    assert (report.calibration, report.auc) == (0.0, 0.5)
