import numpy as np
import pytest
from scipy.special import expit

from gpr_core.world.calibration import fit_line, recalibrated
from gpr_core.world.day import live_day
from gpr_core.world.economics import next_market_day, num_ads_by


@pytest.fixture(scope="module")
def first_log(world, beginning):
    market = next_market_day(
        world.config,
        world.first_market,
        beginning.state.market,
        20_454,
        num_ads_by(world.config, 1),
    )
    return live_day(world, beginning.state, market, beginning.offsets, 20_454, 200)


def test_a_logistic_line_is_recovered_from_soft_labels():
    raw = np.linspace(-3, 3, 500)
    line = fit_line(raw, expit(-2.0 + 0.7 * raw), np.ones(500))
    assert line.intercept == pytest.approx(-2.0, abs=1e-6)
    assert line.slope == pytest.approx(0.7, abs=1e-6)


def test_a_fitted_line_has_the_mean_of_its_labels():
    stream = np.random.default_rng(1)
    raw, target, weight = (stream.random(300) for _ in range(3))
    line = fit_line(raw, target, weight)
    predicted = expit(line.intercept + line.slope * raw)
    assert (weight * predicted).sum() == pytest.approx((weight * target).sum(), rel=1e-6)


def test_the_world_begins_without_exposures_or_spending(beginning, config):
    state = beginning.state
    assert len(state.exposures.pair_Q) == 0
    assert state.market.spent_total_A.sum() == 0
    assert state.requests_WU.sum() == state.organic_WUC.sum() == 0
    assert len(state.pending_ads.key_Q) == len(state.pending_organic.key_E) == 0


def test_but_with_profiles(beginning):
    assert (beginning.state.week_UC.sum(axis=1) > 0).mean() > 0.95


def test_the_first_day_shows_the_wanted_rates(first_log, config):
    truth = first_log.known.truth
    assert truth.p_ctr_M.mean() == pytest.approx(config.base_ctr, rel=0.3)
    conversions = (truth.p_ctr_M * truth.p_cvr_M).sum() / truth.p_ctr_M.sum()
    assert conversions == pytest.approx(config.base_cvr, rel=0.3)
    assert truth.p_neg_M.mean() == pytest.approx(config.base_hide, rel=0.3)


def test_the_first_predictions_are_calibrated(first_log):
    truth, predicted = first_log.known.truth, first_log.served.predicted
    assert predicted.p_ctr.mean() == pytest.approx(truth.p_ctr_M.mean(), rel=0.25)
    assert predicted.p_neg.mean() == pytest.approx(truth.p_neg_M.mean(), rel=0.25)


def test_predictions_know_something(first_log):
    truth, predicted = first_log.known.truth, first_log.served.predicted
    assert np.corrcoef(np.log(truth.p_ctr_M), np.log(predicted.p_ctr))[0, 1] > 0.2


def test_a_night_moves_the_intercept_towards_the_truth(first_log, beginning):
    truth, served = first_log.known.truth, first_log.served
    after = recalibrated(beginning.state.rankers, first_log)
    step = after.click.intercept - beginning.state.rankers.click.intercept
    gap = np.log(truth.p_ctr_M.sum() / served.predicted.p_ctr.sum())
    assert step == pytest.approx(np.clip(0.3 * gap, -0.15, 0.15), rel=1e-4)
    assert after.click.slope == beginning.state.rankers.click.slope


def test_a_day_without_impressions_moves_nothing(first_log, beginning):
    nothing = first_log.served._replace(row_M=np.zeros(0, dtype=np.int64))
    quiet = first_log._replace(served=nothing)
    assert recalibrated(beginning.state.rankers, quiet) == beginning.state.rankers
