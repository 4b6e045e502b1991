from gpr_core.generation.config import BeamConfig
from gpr_core.generation.post_filter import decode_then_filter
from tests.conformance.generator import TabularPolicy, make_catalog, make_requests


def test_filtering_afterwards_wastes_beams():
    trie, ad_table = make_catalog([[0], [1], [2], [3]])
    policy = TabularPolicy((4,), seed=None, logits={(100, 0, (), 0): 5.0, (100, 0, (), 1): 4.0})
    requests = make_requests([[0, 1, 1, 1]])
    config = BeamConfig(
        num_candidates=2, width_factors=(1.0,), value_bonus=(0.0,), exhaustive_factor=0
    )
    state = policy.read(requests.request_key_B)
    found = decode_then_filter(policy, policy, state, requests, trie, ad_table, config)
    assert found.ad_key_M.tolist() == [2]
    assert found.position_M.tolist() == [0]
