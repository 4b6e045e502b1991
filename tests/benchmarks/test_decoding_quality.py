"""Tests of the decoding study: matched widths, counted rows, values of lists, tables."""

import numpy as np
import pytest
import torch

from benchmarks.decoding_methods import (
    CountingPolicy,
    Evaluated,
    Listed,
    Setting,
    collect,
    widen,
)
from benchmarks.decoding_quality import Measured, list_columns, show, summarize
from gpr_core.evaluation.ranked_ads import NO_AD, RankedAds
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.value_guided import decode
from tests.conformance.generator import TabularPolicy, make_catalog, make_requests

PATHS = [[a, b] for a in range(4) for b in range(4)]


def generate(beam, eligible=None):
    """Decode one request with a counting policy."""
    trie, ad_table = make_catalog(PATHS)
    policy = CountingPolicy(TabularPolicy((4, 4)))
    requests = make_requests([eligible or [1] * len(PATHS)])
    state = policy.read(requests.request_key_B)
    return decode(policy, policy, state, requests, trie, ad_table, beam), policy.evaluated


def test_rows_are_counted_where_they_are_asked_for():
    plain = BeamConfig(
        num_candidates=2,
        width_factors=(1.0,),
        value_bonus=(0.0,),
        share_by_value=False,
        exhaustive_factor=0,
    )
    found, evaluated = generate(plain)
    # The root and two prefixes of one code; the two ads below the two paths that survive.
    assert evaluated == Evaluated(prefixes=3, valued_prefixes=0, valued_ads=2)
    assert len(found.rank_M) == 2
    guided = BeamConfig(num_candidates=2, width_factors=(1.0,), exhaustive_factor=0)
    # The two prefixes share a width by value, and all ads below them are valued.
    assert generate(guided)[1] == Evaluated(prefixes=3, valued_prefixes=2, valued_ads=8)


def test_rows_of_a_request_are_an_average():
    found = Evaluated(prefixes=6, valued_prefixes=3, megaflop=1.5).per_request(3)
    assert found == {"prefixes": 2, "valued_prefixes": 1, "valued_ads": 0, "megaflop": 1.5}


def test_a_setting_turns_the_exact_path_off():
    setting = Setting(10, (1.0, 2.0))
    assert setting.name == "K=10 widths=1-2"
    beam = setting.beam()
    assert (beam.exhaustive_factor, beam.width(0), beam.width(1)) == (0, 10, 20)
    assert beam.bonus(1) == BeamConfig().bonus(1)


def searching(prefixes_of):
    """A search that only says how many prefixes it evaluates."""
    nothing = RankedAds(np.zeros((1, 1), np.int64), np.zeros((1, 1)))
    return lambda widths: Listed(nothing, Evaluated(prefixes_of(widths)), widths)


@pytest.mark.parametrize(
    ("least", "widths"), [(0, (2, 3)), (15, (2, 3)), (16, (3, 4)), (31, (4, 5))]
)
def test_a_search_is_widened_until_it_evaluates_enough(least, widths):
    assert (
        widen(searching(lambda tried: 5 * sum(tried) - 10), (2, 3), "prefixes", least).widths
        == widths
    )


def test_a_search_that_leaves_nothing_out_is_not_widened():
    found = widen(searching(lambda tried: min(sum(tried), 9)), (2, 3), "prefixes", 100)
    assert found.evaluated == Evaluated(9)


def test_candidates_behind_the_list_are_cut():
    everything = BeamConfig(num_candidates=16, width_factors=(1.0,), exhaustive_factor=0)
    found, _ = generate(everything, eligible=[0] * 13 + [1] * 3)
    lists = collect([(np.array([1]), found)], num_requests=2, num_candidates=2)
    assert lists.rank_BK[0].tolist() == [NO_AD, NO_AD]
    assert lists.rank_BK[1].tolist() == found.rank_M[:2].tolist()
    assert lists.score_BK[1].tolist() == found.score_M[:2].tolist()
    assert torch.equal(found.position_M, torch.arange(3))


def test_an_empty_place_is_worth_nothing():
    rank_BK = np.array([[3, 1], [2, NO_AD], [NO_AD, NO_AD]])
    ads = RankedAds(rank_BK, np.zeros((3, 2)))
    value_BK = np.array([[4.0, -2.0], [-3.0, np.nan], [np.nan, 99.0]])
    found = list_columns(ads, {"true": value_BK})
    assert found["true_mean"].tolist() == [1.0, -1.5, 0.0]
    assert found["true_max"].tolist() == [4.0, -3.0, 0.0]
    assert found["listed"].tolist() == [2.0, 1.0, 0.0]
    assert found["short"].tolist() == [0.0, 1.0, 1.0]


SETTING = "K=2 widths=1"
METHODS = (
    "value_guided",
    "value_guided_at_load_0",
    "value_guided_at_load_0.5",
    "value_guided_equal_widths",
    "plain_trie",
    "plain_trie_values_all_leaves",
    "plain_trie_pays_for_values",
    "post_filter",
    "post_filter_longer_list",
    "random",
    "exact_by_predicted_value",
)


def table(*, keys=(0, 0), spread=0.0, **means):
    """Summarize two worlds of ten users; methods differ by a constant, users by a spread."""
    means = dict.fromkeys(METHODS, 0.0) | {"exact_by_predicted_value": 4.0} | means

    def measured(value):
        value_B = value + spread * np.repeat(np.arange(10), 2)
        columns = {
            f"{who}_{what}": value_B
            for who in ("true", "simulated", "predicted")
            for what in ("mean", "max")
        }
        columns |= {"listed": np.full(20, 2.0), "short": np.zeros(20)}
        evaluated = {"prefixes": 7.0, "valued_prefixes": 1.0, "valued_ads": 5.0}
        return Measured(columns, evaluated, (2, 3), illegal=1)

    world = {SETTING: {name: measured(value) for name, value in means.items()}}
    users = {seed: key + np.repeat(np.arange(10), 2) for seed, key in enumerate(keys)}
    return summarize({0: world, 1: world}, users)


def test_rows_stand_between_random_and_the_best_by_predicted_value():
    found = table(value_guided=3.0, random=2.0)
    row = found["settings"][SETTING]["rows"]["value_guided"]
    assert row["true_mean"] == {"mean": 3.0, "low": 3.0, "high": 3.0, "by_seed": [3.0, 3.0]}
    assert row["share_of_exact"]["predicted_mean"]["mean"] == 0.5
    assert row["legal_share"] == 1 - 2 / 80
    assert row["evaluated"]["prefixes"] == 7.0
    assert row["widths"] == [[2, 3], [2, 3]]
    assert "value_guided" in show(found)


def test_an_order_holds_only_if_its_interval_is_above_zero():
    text = f"{SETTING}: value_guided above plain_trie, true_max"
    assert table(value_guided=1.0)["asserted"][text]["holds"]
    assert not table()["asserted"][text]["holds"]
    assert not table(plain_trie=1.0)["asserted"][text]["holds"]


def test_differences_are_paired_by_request():
    gap = table(value_guided=1.0, spread=5.0)["settings"][SETTING]["differences"]
    found = gap["value_guided above plain_trie"]["true_mean"]
    assert found == {"mean": 1.0, "low": 1.0, "high": 1.0, "by_seed": [1.0, 1.0]}


def test_equal_keys_of_two_worlds_are_two_users():
    found = table(spread=1.0)
    assert found["requests"] == [20, 20]
    assert found == table(keys=(0, 500), spread=1.0)
