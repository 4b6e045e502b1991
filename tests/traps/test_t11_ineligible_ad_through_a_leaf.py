"""T11: a leaf with an eligible ad may hold others that must not serve."""

import numpy as np
import torch

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import eligible_ads
from gpr_core.catalog.trie import Trie
from gpr_core.generation.leaf_ads import eligible_ads_below
from tests.gpr_core.catalog.catalogs import eligible, make_ads, make_context, make_versions

ACTIVE_AD, PAUSED_AD, WOMEN_ONLY_AD, FUTURE_AD = 1, 2, 3, 4


def decoder(trie, eligible_BA):
    """The list that decoding chooses from."""
    row, leaf = np.zeros(1, dtype=np.int64), trie.leaf_of(torch.tensor([0])).numpy()
    return eligible_ads_below(trie, eligible(eligible_BA), row, leaf)[1]


def whole_leaf(trie, eligible_BA):
    """The broken twin: the leaf is legal, so all its ads are taken."""
    first, end = trie.interval(trie.leaf_of(torch.tensor([0])))
    return np.arange(int(first), int(end))


def emitted_ads(resolve):
    """Resolve the only leaf, which four ads share, for a man."""
    keys = np.array([ACTIVE_AD, PAUSED_AD, WOMEN_ONLY_AD, FUTURE_AD], np.uint64)
    trie = Trie.build(np.zeros((4, 2), np.int16), keys, (2, 2))
    ads = make_ads([{"ad_key": int(key), "launch_ts": 0} for key in keys])
    versions = make_versions(
        [
            {"ad_key": ACTIVE_AD},
            {"ad_key": PAUSED_AD, "valid_from": 0},
            {"ad_key": PAUSED_AD, "valid_from": 50, "status": 1},
            {"ad_key": WOMEN_ONLY_AD, "gender_mask": 0b100},
            {"ad_key": FUTURE_AD, "valid_from": 101},
        ]
    )
    table = AdTable.build(ads, versions, trie)
    eligible_BA = eligible_ads(table, make_context(ts=[100], gender=[1]))
    return trie.ad_key_A.numpy()[resolve(trie, eligible_BA)].tolist()


def test_only_the_eligible_ad_leaves_the_leaf():
    assert emitted_ads(decoder) == [ACTIVE_AD]


def test_the_twin_emits_ads_that_may_not_serve():
    assert emitted_ads(whole_leaf) != [ACTIVE_AD]
