import numpy as np
import pytest
from scipy.special import expit

from gpr_core.world.exposures import no_exposures
from gpr_core.world.rankers import Line, Profiles, Rankers, Ranking
from gpr_core.world.sessions import Requests

RANKERS = Rankers(Line(-3.0, 1.0), Line(-2.0, 0.5), Line(-6.0, 1.0))


def ranking(config, ads, *, week=0.0, liked=0.0, recent=0.0, seen=None, rankers=RANKERS):
    shape = (config.num_users, config.num_categories)
    ints = np.zeros(2, dtype=np.int64)
    requests = Requests(
        np.array([1, 2], dtype=np.uint64), ints, ints + 20_454 * 86_400_000, *[ints] * 7
    )
    profiles = Profiles(
        np.full(shape, week),
        np.full((shape[0], shape[1] * config.brands_per_category), liked),
        np.full((2, shape[1]), recent),
        seen or no_exposures(),
    )
    return Ranking(config, ads, rankers, requests, profiles)


ROW, AD = np.array([0]), np.array([5])


@pytest.mark.parametrize(
    ("known", "click", "conversion", "hide"),
    [
        ({"recent": np.e - 1}, 0.5, 0.45, -0.5),
        ({"week": np.e - 1}, 0.45, 0.0, -0.45),
        ({"liked": np.e - 1}, 0.35, 0.0, -0.35),
    ],
)
def test_logged_interest_moves_the_scores(config, world, known, click, conversion, hide):
    before = ranking(config, world.ads).scores(ROW, AD)
    after = ranking(config, world.ads, **known).scores(ROW, AD)
    moved = [float(new[0] - old[0]) for new, old in zip(after, before, strict=True)]
    np.testing.assert_allclose(moved, [click, conversion, hide], atol=1e-12)


def test_a_seen_ad_scores_lower(config, world):
    seen = no_exposures().plus(np.array([0]), np.array([5]))
    before = ranking(config, world.ads).scores(ROW, AD)
    after = ranking(config, world.ads, seen=seen).scores(ROW, AD)
    assert after.click[0] - before.click[0] == pytest.approx(-0.3 * np.log(2))
    assert after.hide[0] - before.hide[0] == pytest.approx(0.25 * np.log(2))


def test_the_error_is_the_same_all_day_and_differs_by_ad(config, world):
    scores = ranking(config, world.ads).scores(np.array([[0], [1]]), np.arange(20))
    np.testing.assert_array_equal(scores.click[0], scores.click[1])
    assert len(np.unique(scores.click[0])) == 20


def test_predictions_follow_the_calibration_line(config, world):
    one = ranking(config, world.ads)
    scores = one.scores(ROW, AD)
    predicted = one.predict(scores)
    assert predicted.p_ctr.dtype == np.float32
    np.testing.assert_allclose(predicted.p_ctr, expit(-3.0 + scores.click), rtol=1e-6)
    np.testing.assert_allclose(predicted.p_cvr, expit(-2.0 + 0.5 * scores.conversion), rtol=1e-6)


def test_predictions_stay_inside_zero_and_one(config, world):
    extreme = Rankers(Line(200.0, 1.0), Line(-200.0, 1.0), Line(0.0, 1.0))
    one = ranking(config, world.ads, rankers=extreme)
    predicted = one.predict(one.scores(ROW, AD))
    assert 0 < predicted.p_cvr[0] < predicted.p_ctr[0] < 1


def test_retrieval_is_popularity_times_interest(config, world):
    one = ranking(config, world.ads, week=1.0, recent=3.0)
    ads = np.array([3, 4])
    expected = np.log(world.ads.popularity_A[ads] * 2.0 * 4.0)
    np.testing.assert_allclose(one.retrieval(ROW, ads)[0], expected)
