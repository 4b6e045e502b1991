import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.generation.config import BeamConfig
from gpr_core.generation.explanation import Recorder
from gpr_core.generation.value_guided import decode
from gpr_core.support.errors import ShapeError
from tests.conformance.generator import (
    PLAIN,
    TabularPolicy,
    brute_force,
    check_generator,
    make_catalog,
    make_requests,
    random_catalog,
    run,
)

GUIDED = BeamConfig(num_candidates=3, width_factors=(1.0, 2.0), exhaustive_factor=1)
SAMPLED = BeamConfig(
    num_candidates=3,
    width_factors=(1.0,),
    value_bonus=(0.0,),
    share_by_value=False,
    exhaustive_factor=0,
    leaf_ads=1,
    mode="gumbel",
)


@pytest.mark.parametrize("config", [PLAIN, GUIDED, SAMPLED], ids=["plain", "guided", "sampled"])
@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_generator_keeps_the_suite(config, seed):
    check_generator(decode, config, seed)


@pytest.mark.parametrize("seed", range(5))
def test_wide_beam_without_bonus_equals_brute_force(seed):
    rng = np.random.default_rng(seed)
    trie, ad_table = random_catalog(rng, 40)
    policy = TabularPolicy(trie.codebook_sizes, (0.6, 0.4), seed=seed)
    requests = make_requests(rng.random((3, 40)) < 0.6)
    config = BeamConfig(
        num_candidates=8, width_factors=(100.0,), value_bonus=(0.0,), share_by_value=False,
        exhaustive_factor=0, order="retrieval", leaf_ads=100,
    )  # fmt: skip
    found = run(policy, requests, trie, ad_table, config)
    truth = brute_force(policy, policy.read(requests.request_key_B), requests, trie)
    for row in range(3):
        mine = found.select(found.row_M == row)
        expected = np.sort(truth[row])[::-1][:8]
        np.testing.assert_allclose(mine.score_M.numpy(), expected, atol=1e-5)
        np.testing.assert_allclose(truth[row][mine.rank_M], expected, atol=1e-5)


def test_exhaustive_search_equals_a_wide_beam():
    trie, ad_table = random_catalog(np.random.default_rng(3), 30)
    policy = TabularPolicy(trie.codebook_sizes, (0.6, 0.4), seed=1)
    requests = make_requests(np.ones((2, 30)))
    narrow = BeamConfig(num_candidates=8, width_factors=(0.2,), exhaustive_factor=4)
    wide = BeamConfig(
        num_candidates=8, width_factors=(100.0,), value_bonus=(0.0,), share_by_value=False,
        exhaustive_factor=0,
    )  # fmt: skip
    first = run(policy, requests, trie, ad_table, narrow)
    second = run(policy, requests, trie, ad_table, wide)
    assert first.ad_key_M.tolist() == second.ad_key_M.tolist()


def test_values_are_final_values_of_the_predictions():
    trie, ad_table = make_catalog([[0], [1]], bid_micros=[3_000_000, 5_000_000])
    found = run(TabularPolicy((2,), seed=None), make_requests([[1, 1]]), trie, ad_table, PLAIN)
    # p_ctr 0.5 and 0.45, p_cvr a tenth, p_neg a hundredth; bid type 0 pays the bid itself.
    expected = [3 + (20 * 0.5 + 20 * 0.05 - 60 * 0.005) / 4, 5 + 0.9 * (10 + 1 - 0.3) / 4]
    by_key = dict(zip(found.ad_key_M.tolist(), found.final_value_M.tolist(), strict=True))
    np.testing.assert_allclose([by_key[1], by_key[2]], expected, rtol=1e-6)


def test_order_auction_sorts_by_value_and_retrieval_by_probability():
    trie, ad_table = make_catalog([[0], [1]], bid_micros=[3_000_000, 5_000_000])
    policy = TabularPolicy((2,), logits={(100, 0, (), 0): 2.0}, seed=None)
    requests = make_requests([[1, 1]])
    auction = BeamConfig(num_candidates=2)
    retrieval = BeamConfig(num_candidates=2, order="retrieval")
    assert run(policy, requests, trie, ad_table, auction).ad_key_M.tolist() == [2, 1]
    assert run(policy, requests, trie, ad_table, retrieval).ad_key_M.tolist() == [1, 2]


def test_logp_is_the_legal_softmax_and_not_the_beam_score():
    trie, ad_table = make_catalog([[0, 0], [0, 1], [1, 0]])
    policy = TabularPolicy((2, 2), seed=None, values={(1,): 9.0})
    config = BeamConfig(num_candidates=3, value_bonus=(5.0, 5.0), exhaustive_factor=0)
    found = run(policy, make_requests([[1, 1, 0], [1, 1, 1]]), trie, ad_table, config)
    first = found.select(found.row_M == 0)
    torch.testing.assert_close(first.logp_ML.exp(), torch.tensor([[1.0, 0.5], [1.0, 0.5]]))
    assert first.legal_count_ML.tolist() == [[1, 2], [1, 2]]


def test_heads_are_united_by_path():
    trie, ad_table = make_catalog([[0], [1]])
    policy = TabularPolicy((2,), (0.75, 0.25), seed=None, logits={(100, 1, (), 1): 3.0})
    found = run(policy, make_requests([[1, 1]]), trie, ad_table, PLAIN)
    # head 0 gives 0.75 * 0.5 to both; head 1 gives 0.25 * 0.9526 = 0.238 to code 1.
    assert found.head_M.tolist() == [0, 0]
    np.testing.assert_allclose(found.score_M.numpy(), np.log([0.375, 0.375]), atol=1e-6)


def test_catalogs_without_choice():
    policy = TabularPolicy((2, 2), seed=None)
    config = BeamConfig(num_candidates=3, leaf_ads=2)
    for paths, eligible, expected in [
        ([[0, 1]], [[1]], [1]),
        ([[0, 1]], [[0]], []),
        ([[1, 1]] * 3, [[1, 1, 1]], [1, 2]),
        ([[1, 1]] * 3, [[0, 1, 1]], [2, 3]),
    ]:
        trie, ad_table = make_catalog(paths, sizes=(2, 2))
        found = run(policy, make_requests(eligible), trie, ad_table, config)
        assert found.ad_key_M.tolist() == expected


def test_empty_catalog_gives_no_candidates():
    trie, ad_table = make_catalog(np.zeros((0, 2)), sizes=(2, 2))
    found = run(TabularPolicy((2, 2)), make_requests(np.zeros((2, 0))), trie, ad_table, PLAIN)
    assert found.row_M.tolist() == []
    assert found.path_ML.shape == (0, 2)


def test_advertiser_cap_skips_to_the_next_advertiser():
    trie, ad_table = make_catalog(
        [[0], [1], [2], [3]], bid_micros=[9, 8, 7, 1], advertisers=[5, 5, 5, 6]
    )
    config = BeamConfig(num_candidates=3, advertiser_cap=2)
    found = run(TabularPolicy((4,), seed=None), make_requests([[1] * 4]), trie, ad_table, config)
    assert found.ad_key_M.tolist() == [1, 2, 4]


def test_ties_go_to_the_smaller_ad_key():
    trie, ad_table = make_catalog([[0], [0]], keys=[9, 4])
    config = BeamConfig(num_candidates=1)
    found = run(TabularPolicy((1,), seed=None), make_requests([[1, 1]]), trie, ad_table, config)
    assert found.ad_key_M.tolist() == [4]


def test_samples_follow_the_policy_without_replacement():
    trie, ad_table = make_catalog([[0, 0], [0, 1], [1, 0]])
    policy = TabularPolicy((2, 2), seed=None)
    config = BeamConfig(
        num_candidates=1, width_factors=(1.0,), value_bonus=(0.0,), share_by_value=False,
        exhaustive_factor=0, mode="gumbel",
    )  # fmt: skip
    keys = np.arange(4000)
    requests = make_requests(np.ones((4000, 3)), keys)
    found = run(policy, requests, trie, ad_table, config, seed=5)
    share = np.bincount(found.ad_key_M.numpy(), minlength=4)[1:] / 4000
    # Binomial standard error is at most 0.008.
    np.testing.assert_allclose(share, [0.25, 0.25, 0.5], atol=0.03)


def test_sampling_depends_on_the_seed_only():
    trie, ad_table = random_catalog(np.random.default_rng(0), 50)
    policy = TabularPolicy(trie.codebook_sizes, seed=2)
    requests = make_requests(np.ones((4, 50)))
    one = run(policy, requests, trie, ad_table, SAMPLED, seed=1)
    same = run(policy, requests, trie, ad_table, SAMPLED, seed=1)
    other = run(policy, requests, trie, ad_table, SAMPLED, seed=2)
    assert one.ad_key_M.tolist() == same.ad_key_M.tolist()
    assert one.ad_key_M.tolist() != other.ad_key_M.tolist()


@pytest.mark.parametrize("config", [PLAIN, GUIDED, SAMPLED], ids=["plain", "guided", "sampled"])
def test_an_observer_sees_every_level_and_changes_nothing(config):
    rng = np.random.default_rng(6)
    trie, ad_table = random_catalog(rng, 50)
    policy = TabularPolicy(trie.codebook_sizes, (0.6, 0.4), values={(1,): 2.0}, seed=3)
    requests = make_requests(rng.random((6, 50)) < np.array([[0.04], [0.6], [0.6], [0], [1], [1]]))
    recorder = Recorder()
    alone = run(policy, requests, trie, ad_table, config, seed=4)
    observed = run(policy, requests, trie, ad_table, config, seed=4, observe=recorder)
    assert all(torch.equal(one, other) for one, other in zip(alone, observed, strict=True))
    for row in np.flatnonzero(requests.eligible.totals()):
        mine = [seen for seen in recorder.levels if row in seen.beams.row_M]
        assert [seen.level for seen in mine] == [0, 1, 2]
        assert all(seen.kept_D.max() < seen.found.code_C.size for seen in mine)
        has_few = requests.eligible.totals()[row] <= config.exhaustive_factor * 3
        assert all((seen.width is None) == has_few for seen in mine)


def test_eligibility_of_another_catalog_is_refused():
    trie, ad_table = make_catalog([[0], [1]])
    with pytest.raises(ShapeError, match="the catalog has 2 ads"):
        run(TabularPolicy((2,)), make_requests([[1, 1, 1]]), trie, ad_table, PLAIN)


def valued_prefixes(value_bonus):
    """Decode one place among 2 * 16 leaves, and count the prefixes that are valued per level."""
    trie, ad_table = make_catalog([[a, b, 0] for a in range(2) for b in range(16)])
    policy = TabularPolicy((2, 16, 1), seed=4)
    asked = []
    values = policy.prefix_values

    def spy(state, rows, codes):
        asked.append(len(codes))
        return values(state, rows, codes)

    policy.prefix_values = spy
    config = BeamConfig(
        num_candidates=1, width_factors=(1.0,), value_bonus=value_bonus, exhaustive_factor=0
    )
    run(policy, make_requests([[1] * 32]), trie, ad_table, config)
    return asked


def test_only_children_that_may_still_get_a_place_are_valued():
    """16 children, one place to share 2 times over: 2 of them by probability, and no more."""
    assert valued_prefixes((0.3,)) == [2, 2]


def test_where_values_do_not_decide_only_survivors_are_valued():
    """Their values share the width of the next level."""
    assert valued_prefixes((0.0, 0.3)) == [1, 2]
    assert valued_prefixes((0.0,)) == [1, 1]


@pytest.mark.parametrize(("order", "kept"), [("auction", 2), ("retrieval", 1)])
def test_leaves_survive_by_what_orders_the_list(order, kept):
    """Ad 1 is far more probable, ad 2 worth twice as much; both stand below one prefix."""
    trie, ad_table = make_catalog([[0, 0], [0, 1]], bid_micros=[1_000_000, 2_000_000])
    policy = TabularPolicy((1, 2), logits={(100, 0, (0,), 0): 20.0}, seed=None)
    config = BeamConfig(
        num_candidates=1, width_factors=(1.0,), value_bonus=(0.0, 0.1), exhaustive_factor=0,
        order=order,
    )  # fmt: skip
    assert run(policy, make_requests([[1, 1]]), trie, ad_table, config).ad_key_M.tolist() == [kept]
