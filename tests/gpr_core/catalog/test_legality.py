"""Exact legality of nodes, against brute force."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.catalog.legality import legal_children, legal_codes
from gpr_core.catalog.trie import Trie
from gpr_core.support.errors import ShapeError
from tests.gpr_core.catalog.catalogs import eligible


@pytest.fixture
def trie():
    path_AL = np.array([[0, 1], [2, 0], [2, 1], [2, 1]], np.int16)
    return Trie.build(path_AL, np.array([1, 2, 3, 4], np.uint64), (3, 2))


def test_only_existing_and_legal_children_may_follow(trie):
    ads = eligible([[0, 1, 0, 0], [1, 0, 1, 0]])
    rows, nodes = torch.tensor([0, 1, 0, 1]), torch.tensor([0, 0, 2, 2])
    assert legal_codes(trie, ads, rows, nodes).tolist() == [
        [False, False, True],
        [True, False, True],
        [True, False, False],
        [False, True, False],
    ]


def test_requests_without_ads_have_no_children(trie):
    zero, none = np.array([0]), np.zeros(0, dtype=np.int64)
    assert legal_children(trie, eligible([[0, 0, 0, 0]]), zero, zero).node_C.tolist() == []
    assert legal_children(trie, eligible([[1, 1, 1, 1]]), none, none).row_C.tolist() == []


def test_an_empty_catalog_has_no_legal_child():
    trie = Trie.build(np.zeros((0, 1), np.int16), np.zeros(0, np.uint64), (2,))
    ads = eligible(np.zeros((2, 0)))
    assert legal_codes(trie, ads, torch.tensor([0, 1]), torch.tensor([0, 0])).any().item() is False


def test_arguments_must_fit(trie):
    with pytest.raises(ShapeError, match="eligibility of 3 ads, the catalog has 4"):
        legal_children(trie, eligible([[1, 1, 1]]), np.array([0]), np.array([0]))
    with pytest.raises(IndexError, match="no such request"):
        legal_children(trie, eligible([[1] * 4]), np.array([1]), np.array([0]))
    with pytest.raises(ShapeError, match="rows_M has shape"):
        legal_children(trie, eligible([[1] * 4]), np.array([0, 0]), np.array([0]))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.data())
def test_a_walk_over_legal_nodes_finds_exactly_the_prefixes_of_eligible_ads(data):
    row = st.tuples(*[st.integers(0, 2)] * 3)
    path_AL = np.array(data.draw(st.lists(row, min_size=1, max_size=15)), np.int16)
    trie = Trie.build(path_AL, np.arange(1, len(path_AL) + 1, dtype=np.uint64), (3, 3, 3))
    mask = st.lists(st.booleans(), min_size=len(path_AL), max_size=len(path_AL))
    eligible_BA = np.array(data.draw(st.lists(mask, min_size=1, max_size=3)))
    ranked = trie.paths_of(torch.arange(trie.num_ads)).tolist()
    rows = np.arange(len(eligible_BA))
    nodes, prefixes = np.zeros_like(rows), [()] * len(rows)
    for length in range(1, 4):
        found = legal_children(trie, eligible(eligible_BA), rows, nodes)
        prefixes = [
            (*prefixes[parent], code)
            for parent, code in zip(found.row_C.tolist(), found.code_C.tolist(), strict=True)
        ]
        rows, nodes = rows[found.row_C], found.node_C
        expected = {
            (request, *path[:length])
            for request, eligible_A in enumerate(eligible_BA)
            for path, is_eligible in zip(ranked, eligible_A, strict=True)
            if is_eligible
        }
        # Nothing is missing, nothing is there twice, and no beam met a dead end.
        assert len(prefixes) == len(expected)
        assert {(r, *p) for r, p in zip(rows.tolist(), prefixes, strict=True)} == expected
