import numpy as np

from gpr_core.generation.beam import advance, begin, enter_root, extend, follow
from tests.conformance.generator import TabularPolicy, make_catalog, make_requests

PATHS = [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_requests_without_eligible_ads_never_enter():
    legal = make_requests([[0] * 4, [0, 1, 1, 1]]).eligible
    beams = enter_root(legal, np.array([0, 1]), 2)
    assert beams.row_M.tolist() == [1, 1]
    assert beams.head_M.tolist() == [0, 1]


def test_extensions_are_the_legal_children_only():
    trie, _ = make_catalog(PATHS)
    legal = make_requests([[0, 1, 1, 1]]).eligible
    policy = TabularPolicy((2, 2), seed=None)
    state = policy.read([100])
    beams = enter_root(legal, np.array([0]), 1)
    prefixes = begin(policy, state, beams)
    found = extend(policy, prefixes, trie, legal, beams)
    zeros = np.zeros(2)
    beams = advance(beams, found, np.array([0, 1]), zeros, zeros)
    prefixes = follow(policy, prefixes, found, np.array([0, 1]))
    found = extend(policy, prefixes, trie, legal, beams)
    assert found.beam_C.tolist() == [0, 1, 1]
    assert found.code_C.tolist() == [1, 0, 1]
    np.testing.assert_allclose(np.exp(found.logp_C), [1.0, 0.5, 0.5])
    assert found.legal_count_M.tolist() == [1, 2]
