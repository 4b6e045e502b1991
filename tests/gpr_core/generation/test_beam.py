import torch

from gpr_core.generation.beam import advance, best_of_group, enter_root, extend
from tests.conformance.generator import TabularPolicy, make_catalog, make_requests

PATHS = [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_requests_without_eligible_ads_never_enter():
    legal = make_requests([[0] * 4, [0, 1, 1, 1]]).eligible
    beams = enter_root(legal, torch.tensor([0, 1]), 2)
    assert beams.row_M.tolist() == [1, 1]
    assert beams.head_M.tolist() == [0, 1]


def test_extensions_are_the_legal_children_only():
    trie, _ = make_catalog(PATHS)
    legal = make_requests([[0, 1, 1, 1]]).eligible
    policy = TabularPolicy((2, 2), seed=None)
    state = policy.read([100])
    beams = enter_root(legal, torch.tensor([0]), 1)
    prefixes = policy.begin(state, beams.row_M, beams.head_M)
    found = extend(policy, prefixes, trie, legal, beams)
    zeros = torch.zeros(2, dtype=torch.float64)
    beams = advance(beams, found, torch.tensor([0, 1]), zeros, zeros)
    prefixes = policy.extend(prefixes, found.beam_C, found.code_C)
    found = extend(policy, prefixes, trie, legal, beams)
    assert found.beam_C.tolist() == [0, 1, 1]
    assert found.code_C.tolist() == [1, 0, 1]
    torch.testing.assert_close(found.logp_C.exp(), torch.tensor([1.0, 0.5, 0.5]))
    assert found.legal_count_M.tolist() == [1, 2]


def test_cut_prefers_score_then_logp_then_the_smaller_path():
    group = torch.tensor([0, 0, 0, 0])
    score = torch.tensor([1.0, 2.0, 2.0, 2.0])
    logp = torch.tensor([0.0, -3.0, -1.0, -1.0])
    assert best_of_group(group, score, logp, 1).tolist() == [2]
    assert best_of_group(group, score, logp, 3).tolist() == [1, 2, 3]
