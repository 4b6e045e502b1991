"""T09: a trie decoder never repairs its list afterwards, neither by dropping nor by retrying."""

import numpy as np
import torch

from gpr_core.generation.config import BeamConfig
from gpr_core.generation.post_filter import decode_then_filter
from gpr_core.generation.value_guided import decode
from tests.conformance.generator import TabularPolicy, make_requests, random_catalog

CONFIG = BeamConfig(
    num_candidates=6, width_factors=(1.0, 2.0), value_bonus=(0.0,), exhaustive_factor=0, leaf_ads=1
)


def check_no_ad_is_missing(generate):
    """Every list is as long as the distinct legal paths allow, with one evaluation per level."""
    rng = np.random.default_rng(11)
    trie, ad_table = random_catalog(rng, 80)
    policy = TabularPolicy(trie.codebook_sizes, (1.0,), seed=3)
    requests = make_requests(rng.random((20, 80)) < 0.25)
    state = policy.read(requests.request_key_B)
    found = generate(policy, policy, state, requests, trie, ad_table, CONFIG)
    eligible_BA = torch.from_numpy(requests.eligible.mask())
    assert bool(eligible_BA[found.row_M, found.rank_M].all())
    assert policy.num_calls == trie.num_levels
    assert policy.num_rows <= 20 * (1 + CONFIG.width(0) + CONFIG.width(1))
    for row in range(20):
        paths = trie.leaf_of(eligible_BA[row].nonzero()[:, 0]).unique().numel()
        assert int((found.row_M == row).sum()) == min(CONFIG.num_candidates, paths)


def test_decoder_needs_no_repair():
    check_no_ad_is_missing(decode)


def test_twin_that_filters_afterwards_is_caught():
    try:
        check_no_ad_is_missing(decode_then_filter)
    except AssertionError:
        return
    raise AssertionError("the check does not notice dropped ads")


def test_twin_that_retries_is_caught():
    def retry(policy, valuer, state, requests, trie, ad_table, config):
        eligible_BA = torch.from_numpy(requests.eligible.mask())
        everything = make_requests(torch.ones_like(eligible_BA))
        for factor in (1, 2, 4, 8, 16):
            wide = BeamConfig(
                num_candidates=6 * factor, width_factors=(1.0, 2.0), value_bonus=(0.0,),
                exhaustive_factor=0, leaf_ads=1,
            )  # fmt: skip
            found = decode(policy, valuer, state, everything, trie, ad_table, wide)
            found = found.select(eligible_BA[found.row_M, found.rank_M])
        return found

    try:
        check_no_ad_is_missing(retry)
    except AssertionError:
        return
    raise AssertionError("the check does not notice repeated evaluations")
