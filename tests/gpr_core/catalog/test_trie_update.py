"""A tree with merged ads is the tree of all ads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.catalog.packed_paths import pack_paths
from gpr_core.catalog.trie import Trie
from gpr_core.catalog.trie_update import add_ads, packed_paths_of
from gpr_core.support.errors import ContractError
from tests.gpr_core.catalog.catalogs import all_paths

SIZES = (3, 4, 2)
ARRAYS = ("code_N", "first_N1", "child_ptr_I1", "ad_key_A", "by_key_A")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), old=st.integers(0, 40), new=st.integers(0, 20))
def test_merging_equals_building_anew(seed, old, new):
    rng = np.random.default_rng(seed)
    paths = np.stack([rng.integers(0, size, old + new) for size in SIZES], axis=1).astype(np.int16)
    keys = (rng.permutation(200)[: old + new] + 1).astype(np.uint64)
    before = Trie.build(paths[:old], keys[:old], SIZES)
    merged, moved_A = add_ads(before, paths[old:], keys[old:])
    whole = Trie.build(paths, keys, SIZES)
    assert merged.level_start == whole.level_start
    for name in ARRAYS:
        assert torch.equal(getattr(merged, name), getattr(whole, name)), name
    assert before.ad_key_A.tolist() == whole.ad_key_A[torch.from_numpy(moved_A)].tolist()


def test_paths_are_packed_from_the_nodes():
    rng = np.random.default_rng(0)
    paths = np.stack([rng.integers(0, size, 100) for size in SIZES], axis=1).astype(np.int16)
    trie = Trie.build(paths, np.arange(1, 101, dtype=np.uint64), SIZES)
    expected = pack_paths(all_paths(trie).numpy().astype(np.int16), SIZES)
    assert packed_paths_of(trie).tolist() == expected.tolist()


def test_a_key_that_is_there_already_is_refused():
    trie = Trie.build(np.zeros((1, 3), np.int16), np.array([7], np.uint64), SIZES)
    with pytest.raises(ContractError, match="1 new ad keys are there already, for example 7"):
        add_ads(trie, np.zeros((1, 3), np.int16), np.array([7], np.uint64))
    with pytest.raises(ContractError, match="1 new ad keys are there already, for example 9"):
        add_ads(trie, np.zeros((2, 3), np.int16), np.array([9, 9], np.uint64))
