import numpy as np
import pytest
import torch

from gpr_core.generation.path_logp import distinct_prefixes, path_log_probs, prefix_nodes
from gpr_core.support.errors import LegalityError
from tests.conformance.generator import (
    PLAIN,
    TabularPolicy,
    make_catalog,
    make_requests,
    random_catalog,
    run,
)
from tests.gpr_core.catalog.catalogs import all_paths


def test_path_logp_repeats_the_decoder_exactly():
    trie, ad_table = random_catalog(np.random.default_rng(1), 50)
    policy = TabularPolicy(trie.codebook_sizes, (0.5, 0.5), seed=4)
    requests = make_requests(np.random.default_rng(2).random((5, 50)) < 0.5)
    found = run(policy, requests, trie, ad_table, PLAIN)
    again = path_log_probs(
        policy,
        policy.read(requests.request_key_B),
        trie,
        requests.eligible,
        found.row_M,
        found.head_M,
        found.path_ML,
    )
    assert torch.equal(again.logp_ML, found.logp_ML)
    assert torch.equal(again.legal_count_ML, found.legal_count_ML)


def test_shared_prefixes_are_evaluated_once():
    trie, _ = make_catalog([[0, 0], [0, 1], [1, 0]])
    policy = TabularPolicy((2, 2))
    zeros = torch.zeros(3, dtype=torch.int64)
    legal = make_requests([[1, 1, 1]]).eligible
    path_log_probs(policy, policy.read([100]), trie, legal, zeros, zeros, all_paths(trie))
    # One root and two prefixes.
    assert policy.num_rows == 3


def test_first_candidate_represents_each_prefix():
    found = distinct_prefixes(
        torch.tensor([1, 0, 1, 1]), torch.tensor([0, 0, 0, 1]), torch.tensor([2, 9, 2, 2])
    )
    assert found.first_U.tolist() == [1, 0, 3]
    assert found.inverse_M.tolist() == [1, 0, 1, 2]


def test_prefix_nodes_begin_at_the_root():
    trie, _ = make_catalog([[0, 0], [1, 0]])
    assert prefix_nodes(trie, torch.tensor([[1, 0], [0, 0]])).tolist() == [[0, 2], [0, 1]]


def test_path_outside_the_catalog_is_refused():
    trie, _ = make_catalog([[0, 0], [1, 0]])
    with pytest.raises(LegalityError, match=r"path \[0, 1\] is not in the catalog"):
        prefix_nodes(trie, torch.tensor([[0, 1]]))


def test_illegal_path_is_refused():
    trie, _ = make_catalog([[0], [1]])
    policy, zero = TabularPolicy((2,)), torch.zeros(1, dtype=torch.int64)
    legal = make_requests([[1, 0]]).eligible
    with pytest.raises(LegalityError, match=r"path \[1\] is not legal for its request"):
        path_log_probs(policy, policy.read([1]), trie, legal, zero, zero, torch.tensor([[1]]))
