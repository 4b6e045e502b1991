"""What every leaf policy must keep; each check takes the name of the policy."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch

from gpr_core.data.tables import ItemKind
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.value_guided import decode
from gpr_core.tokenizer.leaf_policy import LeafRule, choose_leaf_rule
from gpr_core.tokenizer.sid_map import build_sid_map, codes_of, paths_of_items
from tests.conformance.generator import (
    TabularPolicy,
    brute_force,
    check_batch_independence,
    check_lists_are_legal,
    make_catalog,
    make_requests,
    run,
)
from tests.gpr_core.catalog.catalogs import all_leaves, all_paths

POLICIES = ("value", "suffix", "hash_level")
SIZES = (4, 3)


class Ads(NamedTuple):
    """Ads with the codes of a tokenizer; no two launch at the same time or bid the same."""

    key_A: np.ndarray
    code_AL: np.ndarray
    launch_ts_A: np.ndarray
    advertiser_A: np.ndarray
    conversion_type_A: np.ndarray
    bid_micros_A: np.ndarray

    def table(self):
        """The columns of the lake table `ads` that leaf policies read."""
        return pa.table(
            {
                "ad_key": self.key_A.astype(np.uint64),
                "launch_ts": self.launch_ts_A,
                "advertiser_key": self.advertiser_A.astype(np.uint64),
                "conversion_type": self.conversion_type_A.astype(np.int8),
            }
        )


def draw_ads(seed, count=50):
    """About four ads share each path."""
    rng = np.random.default_rng(seed)
    return Ads(
        key_A=rng.permutation(3 * count)[:count] + 1,
        code_AL=np.stack([rng.integers(0, size, count) for size in SIZES], 1).astype(np.int16),
        launch_ts_A=rng.permutation(count),
        advertiser_A=rng.integers(1, 9, count),
        conversion_type_A=rng.integers(0, 3, count),
        bid_micros_A=1_000_000 + 10_000 * rng.permutation(count),
    )


def make_ids(policy, ads, stored=None, rule=None):
    """Give ids to ads; returns the rule and the table."""
    rule = rule or choose_leaf_rule(policy, ads.code_AL, SIZES)
    count = len(ads.key_A)
    items = pa.table(
        {
            "item_kind": np.full(count, ItemKind.AD, np.int8),
            "item_key": ads.key_A.astype(np.uint64),
        }
    )
    path_AP = paths_of_items(rule, ads.code_AL, items, ads.table(), stored)
    error_A = np.zeros(count, np.float32)
    return rule, build_sid_map(items, path_AP, error_A, ads.table(), tokenizer_version="v")


def path_by_key(sid_map):
    """Ad key -> path."""
    keys, paths = sid_map["item_key"].to_pylist(), codes_of(sid_map).tolist()
    return dict(zip(keys, map(tuple, paths), strict=True))


def catalog_of(rule, sid_map, ads):
    """Build trie and ad table of ids."""
    path = path_by_key(sid_map)
    return make_catalog(
        [path[key] for key in ads.key_A.tolist()],
        ads.key_A,
        bid_micros=ads.bid_micros_A,
        advertisers=ads.advertiser_A,
        sizes=rule.path_sizes(SIZES),
    )


def wide_beam(num_ads, leaf_ads):
    """A beam that cuts no prefix."""
    return BeamConfig(
        num_candidates=num_ads,
        width_factors=(100.0,),
        value_bonus=(0.0,),
        share_by_value=False,
        exhaustive_factor=0,
        leaf_ads=leaf_ads,
    )


def check_every_eligible_ad_is_reachable(policy, seed):
    """The decoder emits exactly the eligible ads; with suffixes even at one ad per leaf."""
    ads = draw_ads(seed)
    rule, sid_map = make_ids(policy, ads)
    trie, ad_table = catalog_of(rule, sid_map, ads)
    leaf_of_path = trie.nodes_of_paths(all_paths(trie))[:, -1]
    assert torch.equal(leaf_of_path, all_leaves(trie))
    eligible = np.random.default_rng(seed).random((5, trie.num_ads)) < 0.7
    requests = make_requests(eligible)
    config = wide_beam(trie.num_ads, 1 if policy == "suffix" else trie.num_ads)
    model = TabularPolicy(trie.codebook_sizes, (0.6, 0.4), seed=seed)
    found = run(model, requests, trie, ad_table, config)
    check_lists_are_legal(found, requests, trie, config)
    for row in range(5):
        emitted = found.ad_key_M[found.row_M == row].tolist()
        assert sorted(emitted) == sorted(trie.ad_key_A[eligible[row]].tolist())


def check_the_decoder_stays_legal(policy, seed):
    """Narrow guided lists are legal, as long as they can be, and independent of the batch."""
    ads = draw_ads(seed)
    rule, sid_map = make_ids(policy, ads)
    trie, ad_table = catalog_of(rule, sid_map, ads)
    rng = np.random.default_rng(seed)
    requests = make_requests(rng.random((6, trie.num_ads)) < rng.random((6, 1)))
    config = BeamConfig(num_candidates=3, width_factors=(1.0, 2.0), exhaustive_factor=1)
    model = TabularPolicy(trie.codebook_sizes, (0.5, 0.3, 0.2), seed=seed)
    found = run(model, requests, trie, ad_table, config)
    check_lists_are_legal(found, requests, trie, config)
    check_batch_independence(decode, model, requests, trie, ad_table, config)
    assert set(found.row_M.tolist()) == set(
        np.flatnonzero(requests.eligible.mask().any(1)).tolist()
    )


def check_paths_are_scored_exactly(policy, seed):
    """The log-probability of a path is that of the enumeration, extra level included."""
    ads = draw_ads(seed, 20)
    rule, sid_map = make_ids(policy, ads)
    trie, ad_table = catalog_of(rule, sid_map, ads)
    requests = make_requests(np.random.default_rng(seed).random((2, 20)) < 0.7)
    model = TabularPolicy(trie.codebook_sizes, (0.6, 0.4), seed=seed)
    found = run(model, requests, trie, ad_table, wide_beam(20, 20))
    truth_BA = brute_force(model, model.read(requests.request_key_B), requests, trie)
    np.testing.assert_allclose(truth_BA[found.row_M, found.rank_M], found.score_M, atol=1e-5)


def check_keys_are_only_names(policy, seed):
    """With other ad keys the lists are the same up to the new names, and so are hit rates."""
    ads = draw_ads(seed)
    renamed = ads._replace(key_A=np.random.default_rng(seed + 1).permutation(ads.key_A))
    shown = np.random.default_rng(seed + 2).integers(0, len(ads.key_A), (8, 20))
    lists = [_lists_by_position(policy, seed, world) for world in (ads, renamed)]
    assert lists[0] == lists[1]
    hit_rates = [
        np.mean([np.isin(wanted, ranked) for wanted, ranked in zip(shown, named, strict=True)])
        for named in lists
    ]
    assert 0 < hit_rates[0] == hit_rates[1] < 1


def _lists_by_position(policy, seed, ads):
    """Decode eight requests; ads are named by their position in the input."""
    rule, sid_map = make_ids(policy, ads)
    trie, ad_table = catalog_of(rule, sid_map, ads)
    position = {key: idx for idx, key in enumerate(ads.key_A.tolist())}
    order = [position[key] for key in trie.ad_key_A.tolist()]
    may_serve = np.random.default_rng(seed).random((8, len(order))) < 0.8
    model = TabularPolicy(trie.codebook_sizes, (0.6, 0.4), seed=seed)
    config = BeamConfig(num_candidates=12, width_factors=(2.0, 4.0), exhaustive_factor=0)
    found = run(model, make_requests(may_serve[:, order]), trie, ad_table, config)
    return [
        [position[key] for key in found.ad_key_M[found.row_M == row].tolist()] for row in range(8)
    ]


def check_ids_are_the_same_in_any_order(policy, seed):
    """The order of the rows does not matter."""
    ads = draw_ads(seed)
    order = np.random.default_rng(seed).permutation(len(ads.key_A))
    shuffled = Ads(*(column[order] for column in ads))
    assert make_ids(policy, ads)[1].equals(make_ids(policy, shuffled)[1])


def check_old_ids_never_move(policy, days):
    """Ads are added day by day in any order and may leave; whoever has an id keeps it.

    Args:
        policy: Name of the policy.
        days: Per day its new ads as (code, launch_ts, stays); one that does not stay is gone the
            next day, when the stored ids still name it.
    """
    rows = [(day, *ad) for day, ads in enumerate(days) for ad in ads]
    day_A, code_A, launch_A, stays_A = np.array(rows, np.int64).reshape(-1, 4).T
    # Keys fall, so that a later ad sorts before the earlier ones of the same launch.
    key_A = np.arange(len(rows), 0, -1)
    code_AL = np.stack([code_A, code_A], 1).astype(np.int16)
    ads = Ads(key_A, code_AL, launch_A, key_A % 4, key_A % 2, key_A)
    rule = LeafRule(policy=policy, size={"value": 0, "suffix": 16, "hash_level": 3}[policy])
    stored, given = None, {}
    for day in range(len(days)):
        is_there = (day_A == day) | ((day_A < day) & (stays_A == 1))
        today = Ads(*(column[is_there] for column in ads))
        before = path_by_key(stored) if stored is not None else {}
        _, stored = make_ids(policy, today, stored, rule)
        now = path_by_key(stored)
        assert {key: path for key, path in now.items() if key in given}.items() <= given.items()
        given |= now
        if policy == "suffix":
            named = before | now
            assert len(set(named.values())) == len(named)
