"""Variants keep the suite of every generator, and differ in what they are for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.generation.config import BeamConfig
from gpr_core.generation.value_guided import decode
from gpr_core.generation.variants import at_load, greedy, plain_beam, stochastic_beam
from gpr_core.support.errors import ConfigError
from tests.conformance.generator import (
    TabularPolicy,
    check_generator,
    make_catalog,
    make_requests,
    run,
)

GUIDED = BeamConfig(num_candidates=3, width_factors=(1.0, 2.0), exhaustive_factor=1)
VARIANTS = {
    "plain": plain_beam(GUIDED),
    "greedy": greedy(GUIDED),
    "stochastic": stochastic_beam(GUIDED),
    "idle": at_load(GUIDED, 0.0),
}


@pytest.mark.parametrize("name", VARIANTS)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_every_variant_keeps_the_suite(name, seed):
    check_generator(decode, VARIANTS[name], seed)


def test_greedy_takes_the_most_probable_code_although_the_path_is_not():
    # 0.6 * 0.5 for either ad under code 0, 0.4 for the only one under code 1.
    trie, ad_table = make_catalog([[0, 0], [0, 1], [1, 0]])
    logits = {(100, 0, (), 0): float(np.log(1.5))}
    policy = TabularPolicy((2, 2), logits=logits, seed=None)
    requests = make_requests([[1, 1, 1]])
    config = BeamConfig(num_candidates=1, width_factors=(4.0,), order="retrieval")
    greedy_list = run(policy, requests, trie, ad_table, greedy(config))
    beam_list = run(policy, requests, trie, ad_table, plain_beam(config))
    assert greedy_list.path_ML.tolist() == [[0, 0]]
    assert beam_list.path_ML.tolist() == [[1, 0]]


def test_greedy_follows_one_path_per_head():
    trie, ad_table = make_catalog([[a, b] for a in range(3) for b in range(3)])
    policy = TabularPolicy((3, 3), (0.5, 0.3, 0.2), seed=2)
    found = run(policy, make_requests([[1] * 9]), trie, ad_table, greedy(GUIDED))
    assert 1 <= found.ad_key_M.numel() <= 3


def test_width_falls_with_load_and_never_below_the_list():
    config = BeamConfig(num_candidates=10, width_factors=(0.5, 1.0, 4.0))
    widths = [
        [at_load(config, load).width(level) for level in range(3)] for load in (0.0, 0.5, 1.0)
    ]
    assert widths == [[10, 16, 64], [10, 13, 52], [10, 10, 40]]
    with pytest.raises(ConfigError, match="load"):
        at_load(config, 1.5)
