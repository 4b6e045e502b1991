"""T35: a "deterministic" decode whose lists depend on what else is in the batch."""

import numpy as np
import pytest

from gpr_core.generation.config import BeamConfig
from gpr_core.generation.value_guided import decode
from tests.conformance.generator import (
    TabularPolicy,
    check_batch_independence,
    make_requests,
    random_catalog,
)

CONFIG = BeamConfig(
    num_candidates=4, width_factors=(1.0, 1.5), value_bonus=(2.0,), exhaustive_factor=0
)


class ByTheBatch(TabularPolicy):
    """The broken twin: values are scaled by whatever is in the batch."""

    def prefix_values(self, state, rows_N, codes_NP):
        value_N = super().prefix_values(state, rows_N, codes_NP)
        return value_N / (value_N.abs().sum() + 1e-6)


def check(policy_class):
    """Shuffled and split batches give identical lists."""
    rng = np.random.default_rng(5)
    trie, ad_table = random_catalog(rng, 120, (6, 6, 4))
    values = {(a,): float(v) for a, v in enumerate(rng.normal(size=6) * 0.2)}
    values |= {(a, b): float(rng.normal() * 0.2) for a in range(6) for b in range(6)}
    policy = policy_class(trie.codebook_sizes, (0.5, 0.5), values=values, seed=1)
    requests = make_requests(rng.random((6, 120)) < 0.7)
    check_batch_independence(decode, policy, requests, trie, ad_table, CONFIG)


def test_lists_do_not_depend_on_the_batch():
    check(TabularPolicy)


def test_the_check_bites_on_values_scaled_by_the_batch():
    with pytest.raises(AssertionError):
        check(ByTheBatch)
