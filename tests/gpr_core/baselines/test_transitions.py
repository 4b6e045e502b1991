import numpy as np
import pytest

from gpr_core.baselines.popularity import Popularity
from gpr_core.baselines.transitions import LastItemTransitions
from gpr_core.support.errors import ConfigError, ShapeError

PRIOR = Popularity(np.array([0.5, 0.5, 0.0, 0.0]))


def fit(user_M, ts_M, rank_M, window=2):
    arrays = (np.array(user_M), np.array(ts_M), np.array(rank_M))
    return LastItemTransitions.fit(*arrays, prior=PRIOR, window=window)


def test_pairs_of_one_user_count_one_over_their_distance():
    # User 1 in time order: 0, 1, 2. User 2: 0, 1. Rows are given out of order.
    floor = fit([1, 2, 1, 2, 1], [20, 5, 10, 9, 30], [1, 0, 0, 1, 2])
    assert floor.weight_AA.toarray().tolist() == [
        [0.0, 2.0, 0.5, 0.0],
        [0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
    ]


def test_scores_are_smoothed_with_popularity():
    floor = fit([1, 1, 1], [1, 2, 3], [0, 1, 2])
    # Row of ad 0: 1 for ad 1, 1/2 for ad 2, and one pseudo-count of popularity; sum 2.5.
    expected = [0.5 / 2.5, 1.5 / 2.5, 0.5 / 2.5, 0.0]
    assert floor.score(np.array([[0, 3]])).tolist()[0] == pytest.approx(expected)


def test_no_history_or_an_unknown_last_ad_means_popularity():
    floor = fit([1, 1], [1, 2], [0, 1])
    expected = [[0.5, 0.5, 0.0, 0.0]]
    assert floor.score(np.array([[-1]])).tolist() == expected
    assert floor.score(np.array([[3]])).tolist() == expected
    assert floor.score(np.empty((1, 0), dtype=np.int64)).tolist() == expected


def test_ads_outside_the_catalog_close_the_gap():
    floor = fit([1, 1, 1], [1, 2, 3], [0, -1, 2], window=1)
    assert floor.weight_AA.toarray()[0].tolist() == [0.0, 0.0, 1.0, 0.0]


def test_bad_arguments_are_refused():
    with pytest.raises(ConfigError, match="window is 0"):
        fit([1], [1], [0], window=0)
    with pytest.raises(ShapeError, match="rank_M"):
        fit([1, 1], [1, 2], [0])
