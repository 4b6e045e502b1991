"""T13: values must decide which prefixes survive, not only the order of the final list.

Below code 1 of level 1 lies an ad worth far more than all others, but the policy gives that code
little probability and the beam keeps one prefix per level.
"""

import torch

from gpr_core.generation.config import BeamConfig
from tests.conformance.generator import TabularPolicy, make_catalog, make_requests, run

PATHS = [[0, 0], [0, 1], [1, 0], [1, 1]]
BIDS = [1_000_000, 1_000_000, 1_000_000, 900_000_000]


def survivors(bonus):
    trie, ad_table = make_catalog(PATHS, bid_micros=BIDS)
    policy = TabularPolicy(
        (2, 2),
        seed=None,
        logits={(100, 0, (), 0): 2.0},
        values={(1,): 10.0},
    )
    config = BeamConfig(
        num_candidates=1,
        width_factors=(1.0, 2.0),
        value_bonus=(bonus, 0.0),
        share_by_value=False,
        exhaustive_factor=0,
    )
    found = run(policy, make_requests([[1] * 4]), trie, ad_table, config)
    return found.path_ML[:, 0].tolist(), found.ad_key_M.tolist()


def test_planted_branch_survives_level_one_with_a_bonus():
    assert survivors(bonus=0.5) == ([1], [4])


def test_twin_that_values_only_the_final_list_loses_the_branch():
    # Without a bonus the list is still sorted by value (order auction), which is the cheat.
    first_codes, ads = survivors(bonus=0.0)
    assert first_codes == [0]
    assert 4 not in ads


def test_value_shares_alone_widen_the_valuable_branch():
    trie, ad_table = make_catalog([[0, c] for c in range(6)] + [[1, c] for c in range(6)])
    policy = TabularPolicy((2, 6), seed=None, logits={(100, 0, (), 0): 1.0}, values={(1,): 9.0})
    config = BeamConfig(
        num_candidates=6, width_factors=(1.0,), value_bonus=(0.0,), exhaustive_factor=0,
        over_generation=1.0, order="retrieval",
    )  # fmt: skip
    found = run(policy, make_requests([[1] * 12]), trie, ad_table, config)
    shares = torch.bincount(found.path_ML[:, 0], minlength=2)
    assert shares.tolist() == [1, 5]
    plain = run(
        policy,
        make_requests([[1] * 12]),
        trie,
        ad_table,
        BeamConfig(
            num_candidates=6,
            width_factors=(1.0,),
            value_bonus=(0.0,),
            exhaustive_factor=0,
            share_by_value=False,
            order="retrieval",
        ),
    )
    assert torch.bincount(plain.path_ML[:, 0], minlength=2).tolist() == [6, 0]
