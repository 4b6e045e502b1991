"""Numbering, lookups and storage of the prefix tree."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.catalog.packed_paths import pack_paths
from gpr_core.catalog.trie import Trie
from gpr_core.support.errors import ContractError, ShapeError
from tests.gpr_core.catalog.catalogs import all_leaves, all_paths


@pytest.fixture
def trie():
    #      root
    #     0     2
    #    1     0   1
    #  ad 30   10  40 20 (two ads share path 2,1)
    path_AL = np.array([[2, 0], [2, 1], [0, 1], [2, 1]], np.int16)
    return Trie.build(path_AL, np.array([10, 40, 30, 20], np.uint64), (3, 2))


def test_ads_are_ranked_by_path_then_key(trie):
    assert trie.ad_key_A.tolist() == [30, 10, 20, 40]
    assert all_paths(trie).tolist() == [[0, 1], [2, 0], [2, 1], [2, 1]]
    assert all_leaves(trie).tolist() == [3, 4, 5, 5]


def test_nodes_are_numbered_level_by_level(trie):
    assert (trie.num_levels, trie.num_nodes, trie.num_ads) == (2, 6, 4)
    assert trie.level_start == (0, 1, 3, 6)
    assert trie.code_N.tolist() == [-1, 0, 2, 1, 0, 1]
    first, end = trie.interval(torch.arange(6))
    assert first.tolist() == [0, 0, 1, 0, 1, 2]
    assert end.tolist() == [4, 1, 4, 1, 2, 4]
    assert trie.child_ptr_I1.tolist() == [1, 3, 4, 6]


def test_children_are_placed_by_code(trie):
    found = trie.children(torch.tensor([0, 2, 5, -1]))
    assert found.tolist() == [[1, -1, 2], [4, 5, -1], [-1, -1, -1], [-1, -1, -1]]


def test_expand_lists_only_existing_children(trie):
    found = trie.expand(torch.tensor([2, -1, 0]))
    assert found.row_C.tolist() == [0, 0, 2, 2]
    assert found.code_C.tolist() == [0, 1, 0, 2]
    assert found.node_C.tolist() == [4, 5, 1, 2]


def test_a_path_is_followed_until_it_leaves_the_tree(trie):
    paths = torch.tensor([[2, 1], [0, 0], [1, 0], [2, 3], [-1, 1]])
    assert trie.nodes_of_paths(paths).tolist() == [[2, 5], [1, -1], [-1, -1], [2, -1], [-1, -1]]


def test_an_ad_is_found_by_its_key(trie):
    assert trie.rank_of_ads(torch.tensor([40, 5, 30, 99])).tolist() == [3, -1, 0, -1]
    assert trie.rank_of_ads(np.array([10], np.int64)).tolist() == [1]


def test_the_largest_key_survives():
    key = np.array([2**63 - 1, 1], np.uint64)
    trie = Trie.build(np.zeros((2, 1), np.int16), key)
    assert trie.ad_key_A.tolist() == [1, 2**63 - 1]
    assert trie.codebook_sizes == (1,)


def test_an_empty_catalog_is_a_root():
    trie = Trie.build(np.zeros((0, 2), np.int16), np.zeros(0, np.uint64), (4, 4))
    assert (trie.num_nodes, trie.num_ads) == (1, 0)
    assert trie.children(torch.tensor([0])).tolist() == [[-1, -1, -1, -1]]
    assert trie.nodes_of_paths(torch.tensor([[0, 0]])).tolist() == [[-1, -1]]
    assert trie.rank_of_ads(torch.tensor([7])).tolist() == [-1]


def test_the_order_of_ads_makes_no_difference():
    rng = np.random.default_rng(0)
    path_AL = rng.integers(0, 5, size=(200, 3)).astype(np.int16)
    keys = rng.permutation(1000)[:200].astype(np.uint64) + 1
    ascending = np.argsort(keys)
    one = Trie.build(path_AL, keys, (5, 5, 5))
    other = Trie.build(path_AL[ascending], keys[ascending], (5, 5, 5))
    packed = Trie.from_packed(pack_paths(path_AL, (5, 5, 5)), keys, (5, 5, 5))
    for tree in (other, packed):
        assert tree.level_start == one.level_start
        for name in ("code_N", "first_N1", "child_ptr_I1", "ad_key_A", "by_key_A"):
            assert torch.equal(getattr(tree, name), getattr(one, name))
    assert one.rank_of_ads(keys).tolist() == np.argsort(np.argsort(ranked(path_AL, keys))).tolist()


def ranked(path_AL, keys):
    """A number per ad that grows with (path, key)."""
    return [
        ((a * 5 + b) * 5 + c) * 2000 + key
        for (a, b, c), key in zip(path_AL.tolist(), keys.tolist(), strict=True)
    ]


def test_a_key_may_appear_only_once():
    with pytest.raises(ContractError, match="1 ad keys appear twice, for example 7"):
        Trie.build(np.zeros((2, 1), np.int16), np.array([7, 7], np.uint64))


def test_a_code_outside_its_codebook_is_refused():
    with pytest.raises(ContractError, match=r"codes range from 0 to \[4\]"):
        Trie.build(np.array([[4], [0]], np.int16), np.array([1, 2], np.uint64), (4,))


def test_shapes_are_checked():
    with pytest.raises(ShapeError, match="ad_keys has shape"):
        Trie.build(np.zeros((2, 1), np.int16), np.zeros(3, np.uint64))
    with pytest.raises(ShapeError, match="no levels"):
        Trie.build(np.zeros((0, 0), np.int16), np.zeros(0, np.uint64))
    with pytest.raises(ShapeError, match="1 codebook sizes for paths of 2 levels"):
        Trie.build(np.zeros((1, 2), np.int16), np.ones(1, np.uint64), (3,))


@st.composite
def paths(draw):
    num_levels = draw(st.integers(1, 3))
    row = st.tuples(*[st.integers(0, 3)] * num_levels)
    return np.array(draw(st.lists(row, min_size=1, max_size=20)), np.int16)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(paths())
def test_the_arrays_are_the_dictionary_tree(path_AL):
    keys = np.arange(100, 100 + len(path_AL), dtype=np.uint64)
    trie = Trie.build(path_AL, keys, (4,) * path_AL.shape[1])
    path_of = dict(zip(keys.tolist(), path_AL.tolist(), strict=True))
    below = {}
    for path, key in zip(path_AL.tolist(), keys.tolist(), strict=True):
        for length in range(len(path) + 1):
            below.setdefault(tuple(path[:length]), set()).add(key)
    assert trie.num_nodes == len(below)
    assert [path_of[key] for key in trie.ad_key_A.tolist()] == all_paths(trie).tolist()
    leaf_of_path = trie.nodes_of_paths(all_paths(trie))[:, -1]
    assert torch.equal(leaf_of_path, all_leaves(trie))
    for prefix, ads in below.items():
        node = 0
        if prefix:
            node = trie.nodes_of_paths(torch.tensor([prefix]))[0, -1].item()
        first, end = (int(bound) for bound in trie.interval(torch.tensor([node])))
        assert set(trie.ad_key_A[first:end].tolist()) == ads
        codes = {longer[-1] for longer in below if longer[:-1] == prefix and longer}
        child_V = trie.children(torch.tensor([node]))[0]
        assert set((child_V >= 0).nonzero()[:, 0].tolist()) == codes
