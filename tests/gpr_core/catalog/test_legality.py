"""Exact legality of nodes, against brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.catalog.legality import count_eligible_below, legal_children, legal_nodes
from gpr_core.catalog.trie import Trie
from gpr_core.support.errors import ShapeError


@pytest.fixture
def trie():
    path_AL = np.array([[0, 1], [2, 0], [2, 1], [2, 1]], np.int16)
    return Trie.build(path_AL, np.array([1, 2, 3, 4], np.uint64), (3, 2))


def test_counts_are_taken_per_request(trie):
    eligible = torch.tensor([[True, False, True, True], [False, False, False, False]])
    counts = count_eligible_below(eligible, trie.first_N, trie.end_N)
    assert counts.tolist() == [[3, 1, 2, 1, 0, 2], [0, 0, 0, 0, 0, 0]]
    assert counts.dtype == torch.int64


def test_numpy_masks_are_accepted(trie):
    eligible = np.array([[False, True, False, False]])
    assert legal_nodes(trie, eligible).tolist() == [[True, False, True, False, True, False]]


def test_only_existing_and_legal_children_may_follow(trie):
    eligible = np.array([[False, True, False, False], [True, False, True, False]])
    legal = legal_nodes(trie, eligible)
    rows, nodes = torch.tensor([0, 1, 0, 1, 1]), torch.tensor([0, 0, 2, 2, -1])
    assert legal_children(trie, legal, rows, nodes).tolist() == [
        [False, False, True],
        [True, False, True],
        [True, False, False],
        [False, True, False],
        [False, False, False],
    ]


def test_an_empty_catalog_has_no_legal_node():
    trie = Trie.build(np.zeros((0, 1), np.int16), np.zeros(0, np.uint64), (2,))
    assert legal_nodes(trie, np.zeros((2, 0), bool)).tolist() == [[False], [False]]


def test_intervals_must_match():
    with pytest.raises(ShapeError, match=r"first_N has shape \[1\], end_N has shape \[2\]"):
        count_eligible_below(torch.ones(3) > 0, torch.tensor([0]), torch.tensor([1, 2]))


def test_the_mask_must_be_of_this_catalog(trie):
    with pytest.raises(ShapeError, match="eligible_BA has shape"):
        legal_nodes(trie, np.ones((1, 3), bool))
    with pytest.raises(ShapeError, match="legal_BN has shape"):
        legal_children(trie, torch.ones(1, 3) > 0, torch.tensor([0]), torch.tensor([0]))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_a_node_is_legal_exactly_if_an_eligible_ad_lies_below(data):
    row = st.tuples(*[st.integers(0, 2)] * 3)
    path_AL = np.array(data.draw(st.lists(row, min_size=1, max_size=15)), np.int16)
    trie = Trie.build(path_AL, np.arange(1, len(path_AL) + 1, dtype=np.uint64), (3, 3, 3))
    mask = st.lists(st.booleans(), min_size=len(path_AL), max_size=len(path_AL))
    eligible_BA = np.array(data.draw(st.lists(mask, min_size=1, max_size=3)))
    legal_BN = legal_nodes(trie, eligible_BA)
    ranked = trie.path_AL.tolist()
    for request, eligible_A in enumerate(eligible_BA):
        prefixes = {
            tuple(path[:length])
            for path, is_eligible in zip(ranked, eligible_A, strict=True)
            if is_eligible
            for length in range(4)
        }
        found = {prefix_of(trie, node) for node in legal_BN[request].nonzero()[:, 0].tolist()}
        assert found == prefixes
        # No dead ends: a legal node above the leaves has a legal child.
        inner = [
            node for node in legal_BN[request].nonzero()[:, 0].tolist() if trie.level_N[node] < 3
        ]
        rows = torch.full((len(inner),), request)
        assert (
            legal_children(trie, legal_BN, rows, torch.tensor(inner, dtype=torch.int64))
            .any(1)
            .all()
        )


def prefix_of(trie, node):
    """Walk up to the root."""
    codes = []
    while node:
        codes.append(int(trie.code_N[node]))
        node = int(trie.parent_N[node])
    return tuple(reversed(codes))
