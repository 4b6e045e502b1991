import numpy as np
import pytest

from gpr_core.evaluation.ranked_ads import RankedAds, check_distinct, top_ads
from gpr_core.support.errors import LegalityError, ShapeError


def make_lists(rank_BK):
    rank_BK = np.array(rank_BK)
    return RankedAds(rank_BK, np.where(rank_BK < 0, -np.inf, -np.arange(rank_BK.shape[1]) * 1.0))


def test_best_eligible_ads_come_first_and_ties_go_to_the_lower_rank():
    score_BA = np.array([[0.5, 0.9, 0.5, 0.7]])
    lists = top_ads(score_BA, np.array([[True, False, True, True]]), 3)
    assert lists.rank_BK.tolist() == [[3, 0, 2]]
    assert lists.score_BK.tolist() == [[0.7, 0.5, 0.5]]


def test_a_request_with_few_eligible_ads_gets_a_shorter_list():
    lists = top_ads(np.zeros((2, 3)), np.array([[False, True, False], [False, False, False]]), 2)
    assert lists.rank_BK.tolist() == [[1, -1], [-1, -1]]
    assert lists.is_ad().tolist() == [[True, False], [False, False]]


def test_scores_of_another_catalog_are_refused():
    with pytest.raises(ShapeError, match="score_BA"):
        top_ads(np.zeros((2, 3)), np.ones((2, 4), dtype=bool), 2)


def test_first_cuts_the_lists():
    assert make_lists([[4, 2, 7]]).first(2).rank_BK.tolist() == [[4, 2]]


def test_an_ad_named_twice_is_refused_and_padding_is_not():
    check_distinct("hepo", make_lists([[3, -1, -1], [1, 2, 3]]))
    with pytest.raises(LegalityError, match="hepo emitted an ad twice for 1 requests"):
        check_distinct("hepo", make_lists([[3, 1, 3], [1, 2, 3]]))
