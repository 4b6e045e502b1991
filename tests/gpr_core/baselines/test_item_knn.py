"""Tests of the item-kNN floor."""

import numpy as np
import pytest

from gpr_core.baselines.item_knn import ItemKnn
from gpr_core.baselines.popularity import Popularity
from gpr_core.support.errors import ShapeError

PRIOR = Popularity(np.array([0.1, 0.2, 0.3, 0.4]))


def fit(user_M, rank_M):
    return ItemKnn.fit(np.array(user_M), np.array(rank_M), prior=PRIOR)


def test_similarity_is_the_cosine_of_the_sets_of_users():
    # Ad 0: users 7 and 8, twice for 7. Ad 1: user 7. Ad 2: user 9. Ad 3: nobody.
    floor = fit([7, 7, 8, 7, 9, 9], [0, 0, 0, 1, 2, -1])
    near = 1 / 2**0.5
    assert floor.similar_AA.toarray() == pytest.approx(
        np.array([[1, near, 0, 0], [near, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    )


def test_later_exposures_count_more():
    floor = fit([7, 7, 8, 9], [0, 1, 0, 2])
    score_A = floor.score(np.array([[2, 0, -1]]))[0]
    assert score_A[2] == pytest.approx(1.0)
    assert score_A[0] == pytest.approx(0.8)


def test_without_history_the_order_is_that_of_popularity():
    floor = fit([7, 8], [0, 1])
    assert floor.score(np.array([[-1, -1]])).argsort().tolist() == [[0, 1, 2, 3]]
    assert floor.score(np.empty((1, 0), dtype=np.int64)).shape == (1, 4)


def test_ads_that_share_no_user_come_in_the_order_of_popularity():
    floor = fit([7, 8], [0, 1])
    assert floor.score(np.array([[0]])).argsort()[0].tolist() == [1, 2, 3, 0]


def test_arrays_of_different_length_are_refused():
    with pytest.raises(ShapeError, match="rank_M"):
        fit([7, 8], [0])
