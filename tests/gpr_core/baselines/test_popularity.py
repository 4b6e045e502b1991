import numpy as np
import pytest

from gpr_core.baselines.popularity import Popularity
from gpr_core.data.tables import DAY_MS
from gpr_core.support.errors import ConfigError, LeakageError, ShapeError

CUTOFF = 100 * DAY_MS


def fit(rank_M, age_days_M, **changes):
    ts_M = CUTOFF - (np.array(age_days_M, dtype=np.float64) * DAY_MS).astype(np.int64)
    arguments = {"num_ads": 3, "cutoff_ts": CUTOFF, "half_life_days": 7.0} | changes
    return Popularity.fit(np.array(rank_M, dtype=np.int64), ts_M, **arguments)


def test_an_exposure_counts_half_after_a_half_life():
    # Ad 0: 1/2 + 1/2 (two exposures, 7 days old); ad 2: 1/4 (14 days old); ad 1: none.
    floor = fit([0, 0, 2], [7, 7, 14])
    assert floor.share_A.tolist() == pytest.approx([0.8, 0.0, 0.2])


def test_every_request_gets_the_same_scores():
    assert fit([1], [1]).score(2).tolist() == [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]


def test_ads_outside_the_catalog_are_ignored():
    assert fit([-1, 1], [1, 1]).share_A.tolist() == [0.0, 1.0, 0.0]


def test_nothing_shown_gives_zero_shares():
    assert fit([], []).share_A.tolist() == [0.0, 0.0, 0.0]


def test_an_exposure_of_the_evaluation_day_is_a_leak():
    with pytest.raises(LeakageError, match="not before the cutoff"):
        fit([0], [0])


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigError, match="half_life_days is 0"):
        fit([0], [1], half_life_days=0.0)
    with pytest.raises(ShapeError, match="ts_M"):
        fit([0, 1], [1])
