import numpy as np
import pytest

from gpr_core.evaluation.pool import fixed_pool
from gpr_core.support.errors import ShapeError

NUM_ADS = 20
AD_KEYS = np.arange(100, 100 + NUM_ADS)
POPULARITY = np.arange(NUM_ADS, 0, -1) / 210.0


def make_pool(eligible_BA, truth_B, size=6, popular=2, seed=1, keys=None):
    keys = np.arange(1, len(truth_B) + 1, dtype=np.uint64) if keys is None else keys
    return fixed_pool(
        keys,
        np.array(truth_B),
        eligible_BA,
        POPULARITY,
        AD_KEYS,
        size=size,
        popular=popular,
        seed=seed,
    )


def test_pool_is_truth_then_most_popular_eligible_then_a_sample():
    eligible_BA = np.ones((1, NUM_ADS), dtype=bool)
    eligible_BA[0, 0] = False
    pool_BP = make_pool(eligible_BA, [7])
    # Ad 0 is the most popular but not eligible, so 1 and 2 stand for popularity.
    assert pool_BP[0, :3].tolist() == [7, 1, 2]
    assert len(set(pool_BP[0].tolist())) == 6
    assert set(pool_BP[0, 3:].tolist()) <= set(range(3, NUM_ADS))


def test_a_popular_truth_does_not_cost_a_popular_place():
    assert make_pool(np.ones((1, NUM_ADS), dtype=bool), [0])[0, :3].tolist() == [0, 1, 2]


def test_an_ineligible_truth_is_not_in_the_pool():
    eligible_BA = np.ones((2, NUM_ADS), dtype=bool)
    eligible_BA[0, 7] = False
    pool_BP = make_pool(eligible_BA, [7, -1], size=NUM_ADS)
    assert 7 not in pool_BP[0].tolist()
    assert pool_BP[0, -1] == -1
    assert sorted(pool_BP[1].tolist()) == list(range(NUM_ADS))


def test_few_eligible_ads_are_all_taken_and_padded():
    eligible_BA = np.zeros((1, NUM_ADS), dtype=bool)
    eligible_BA[0, [3, 9]] = True
    assert make_pool(eligible_BA, [9], size=4).tolist() == [[9, 3, -1, -1]]


def test_pool_of_a_request_does_not_depend_on_the_other_requests():
    eligible_BA = np.ones((3, NUM_ADS), dtype=bool)
    keys = np.array([11, 12, 13], dtype=np.uint64)
    together = make_pool(eligible_BA, [1, 2, 3], keys=keys)
    alone = make_pool(eligible_BA[:1], [2], keys=keys[1:2])
    assert together[1].tolist() == alone[0].tolist()
    assert together[0].tolist() != together[2].tolist()


def test_arrays_of_another_catalog_are_refused():
    with pytest.raises(ShapeError, match="eligible_BA"):
        make_pool(np.ones((1, 3), dtype=bool), [1])
