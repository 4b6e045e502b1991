"""Trees of prefixes grown by value."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.generation.config import BeamConfig
from gpr_core.generation.value_guided import decode
from gpr_core.generation.value_tree import TreeConfig, decode_by_tree
from gpr_core.generation.variants import plain_beam
from gpr_core.support.errors import ConfigError
from tests.conformance.generator import (
    TabularPolicy,
    check_generator,
    make_catalog,
    make_requests,
)

LISTS = BeamConfig(num_candidates=4, value_bonus=(1.0,))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), evaluations=st.integers(1, 40))
def test_the_tree_keeps_the_suite(seed, evaluations):
    tree = TreeConfig(evaluations=evaluations, first_width=2)
    check_generator(partial(decode_by_tree, tree=tree), LISTS, seed)


def grow(policy, eligible, trie, ad_table, tree, config=LISTS):
    requests = make_requests(eligible)
    state = policy.read(requests.request_key_B)
    return decode_by_tree(policy, policy, state, requests, trie, ad_table, config, tree=tree)


def full_tree():
    return [[a, b, c] for a in range(4) for b in range(4) for c in range(3)]


@pytest.mark.parametrize("evaluations", [9, 12, 17])
def test_the_budget_is_spent_and_never_exceeded(evaluations):
    trie, ad_table = make_catalog(full_tree())
    policy = TabularPolicy(trie.codebook_sizes, seed=3)
    grow(policy, [[1] * 48], trie, ad_table, TreeConfig(evaluations=evaluations, first_width=1))
    # The first beam takes three; there are 1 + 4 + 16 prefixes in all.
    assert policy.num_rows <= evaluations
    assert policy.num_rows >= evaluations - 1 or evaluations > 12


def test_with_enough_budget_nothing_promising_is_left():
    trie, ad_table = make_catalog(full_tree())
    policy = TabularPolicy(trie.codebook_sizes, seed=None)
    tree = TreeConfig(evaluations=100, first_width=1)
    found = grow(policy, [[1] * 48], trie, ad_table, tree, BeamConfig(num_candidates=48))
    # All prefixes are alike, so that all are promising and all ads are found.
    assert sorted(found.ad_key_M.tolist()) == list(range(1, 49))
    assert policy.num_rows == 1 + 4 + 16


def planted(seed):
    """A valuable ad behind an improbable code, and what finds it at 12 evaluations a request."""
    rng = np.random.default_rng(seed)
    a, b = (int(code) for code in rng.integers(0, 4, 2))
    paths = full_tree()
    bids = [50_000_000 if path == [a, b, 0] else 1_000_000 for path in paths]
    trie, ad_table = make_catalog(paths, bid_micros=bids)
    logits = {(100, 0, (), a): -1.5}
    values = {(a,): 1.5, (a, b): 3.0}
    policy = TabularPolicy(trie.codebook_sizes, logits=logits, values=values, seed=seed)
    return trie, ad_table, policy, paths.index([a, b, 0]) + 1


def test_a_planted_ad_is_found_more_often_than_by_a_beam_of_equal_cost():
    by_tree, by_beam = 0, 0
    for seed in range(20):
        trie, ad_table, policy, key = planted(seed)
        tree = TreeConfig(evaluations=9, first_width=1)
        found = grow(policy, [[1] * 48], trie, ad_table, tree)
        by_tree += key in found.ad_key_M.tolist()
        spent, policy.num_rows = policy.num_rows, 0
        requests = make_requests([[1] * 48])
        beam = BeamConfig(num_candidates=4, width_factors=(1.0,), exhaustive_factor=0)
        found = decode(
            policy, policy, policy.read(requests.request_key_B), requests, trie, ad_table,
            plain_beam(beam),
        )  # fmt: skip
        by_beam += key in found.ad_key_M.tolist()
        assert spent <= policy.num_rows == 9
    assert by_tree >= 10
    assert by_beam <= 1


def test_requests_without_ads_and_empty_catalogs():
    trie, ad_table = make_catalog(full_tree())
    policy = TabularPolicy(trie.codebook_sizes, seed=1)
    found = grow(policy, [[0] * 48, [1] * 48], trie, ad_table, TreeConfig())
    assert set(found.row_M.tolist()) == {1}
    nothing, no_ads = make_catalog(np.zeros((0, 2)), sizes=(2, 2))
    found = grow(TabularPolicy((2, 2)), np.zeros((2, 0)), nothing, no_ads, TreeConfig())
    assert torch.equal(found.row_M, torch.zeros(0, dtype=torch.int64))


def test_ranges_are_checked():
    with pytest.raises(ConfigError, match="evaluations"):
        TreeConfig(evaluations=0)
    with pytest.raises(ConfigError, match="first_width"):
        TreeConfig(first_width=0)
