"""Each fate on a planted branch, and exact counts on random catalogs."""

import numpy as np
import pytest
import torch

from gpr_core.generation.config import BeamConfig
from gpr_core.generation.explanation import (
    FATES,
    Fate,
    Recorder,
    explain_request,
    kept_by_score_alone,
)
from tests.conformance.generator import (
    TabularPolicy,
    make_catalog,
    make_requests,
    random_catalog,
    run,
)

NARROW = BeamConfig(
    num_candidates=1,
    width_factors=(2.0, 2.0),
    value_bonus=(1.0, 1.0),
    share_by_value=False,
    exhaustive_factor=0,
)
GUIDED = BeamConfig(num_candidates=2, width_factors=(1.0, 2.0), exhaustive_factor=1)
SAMPLED = BeamConfig(
    num_candidates=3,
    width_factors=(1.0,),
    value_bonus=(0.0,),
    share_by_value=False,
    exhaustive_factor=0,
    mode="gumbel",
)


def observe(policy, requests, catalog, config):
    """Decode with a recorder; returns what it saw."""
    recorder = Recorder()
    run(policy, requests, *catalog, config, observe=recorder)
    return recorder.levels


def fates(explained, trie):
    """Give the fate of each prefix of a level by its codes."""
    paths = trie.paths_of(trie.interval(torch.from_numpy(explained.node_N))[0])
    return {
        tuple(path[: explained.level + 1]): FATES[place]
        for path, place in zip(paths.tolist(), explained.fate_N.tolist(), strict=True)
    }


@pytest.fixture
def planted():
    """Five branches of two ads: likely, likely, unlikely of high value, unlikely, ineligible."""
    catalog = make_catalog([[code, leaf] for code in range(5) for leaf in range(2)], sizes=(5, 2))
    logits = {(100, 0, (), code): logit for code, logit in enumerate([3.0, 2.0, 0.0, 0.5, 9.0])}
    policy = TabularPolicy((5, 2), logits=logits, values={(2,): 9.0}, seed=None)
    return policy, make_requests([[1] * 8 + [0] * 2]), catalog


def test_a_planted_branch_of_low_probability_and_high_value_is_kept_by_value(planted):
    policy, requests, catalog = planted
    first, _ = explain_request(
        observe(policy, requests, catalog, NARROW), catalog[0], requests.eligible, 0
    )
    assert fates(first, catalog[0]) == {
        (0,): Fate.KEPT,
        (1,): Fate.CUT_BY_VALUE,
        (2,): Fate.KEPT_BY_VALUE,
        (3,): Fate.CUT_BY_SCORE,
        (4,): Fate.NO_ELIGIBLE_AD,
    }
    assert list(first.counts().values()) == [1, 1, 1, 1, 1]


def test_numbers_of_a_prefix_are_those_of_the_cut(planted):
    policy, requests, catalog = planted
    first, _ = explain_request(
        observe(policy, requests, catalog, NARROW), catalog[0], requests.eligible, 0
    )
    logits = torch.tensor([3.0, 2.0, 0.0, 0.5], dtype=torch.float64)
    logp = torch.log_softmax(logits, 0).numpy()
    np.testing.assert_allclose(first.logp_N[:4], logp, atol=1e-6)
    np.testing.assert_allclose(first.score_N[:4], logp + np.array([0, 0, 9, 0]), atol=1e-6)
    assert first.value_N[:4].tolist() == [0, 0, 9, 0]
    assert (first.num_ads_N.tolist(), first.num_eligible_N.tolist()) == ([2] * 5, [2] * 4 + [0])
    assert first.head_N.tolist() == [0, 0, 0, 0, -1]
    assert np.isnan([first.logp_N[4], first.value_N[4], first.score_N[4]]).all()


def test_a_branch_cut_earlier_is_not_looked_at_again(planted):
    policy, requests, catalog = planted
    _, second = explain_request(
        observe(policy, requests, catalog, NARROW), catalog[0], requests.eligible, 0
    )
    assert set(fates(second, catalog[0])) == {(0, 0), (0, 1), (2, 0), (2, 1)}


def test_the_share_of_a_worthless_parent_cuts_by_value():
    """Without bonus: the likely children of a parent without value give way to others."""
    catalog = make_catalog([[code, leaf] for code in range(2) for leaf in range(4)], sizes=(2, 4))
    policy = TabularPolicy(
        (2, 4), logits={(100, 0, (), 0): 9.0}, values={(0,): -9.0, (1,): 9.0}, seed=None
    )
    config = BeamConfig(
        num_candidates=1,
        width_factors=(2.0, 4.0),
        value_bonus=(0.0,),
        over_generation=1.0,
        exhaustive_factor=0,
    )
    requests = make_requests([[1] * 8])
    first, second = explain_request(
        observe(policy, requests, catalog, config), catalog[0], requests.eligible, 0
    )
    assert list(first.counts().values()) == [2, 0, 0, 0, 0]
    found = fates(second, catalog[0])
    assert [found[0, leaf] for leaf in range(4)] == [Fate.KEPT] + [Fate.CUT_BY_VALUE] * 3
    assert sum(found[1, leaf] is Fate.KEPT_BY_VALUE for leaf in range(4)) == 3


def test_a_prefix_that_one_head_keeps_is_kept():
    """Head 1 keeps by probability what head 0 cuts, and the numbers are those of head 1."""
    catalog = make_catalog([[0], [1], [2]])
    logits = {(100, 0, (), 0): 5.0, (100, 1, (), 1): 5.0}
    policy = TabularPolicy((3,), (0.9, 0.1), logits=logits, seed=None)
    config = BeamConfig(
        num_candidates=1, width_factors=(1.0,), value_bonus=(0.0,), share_by_value=False,
        exhaustive_factor=0,
    )  # fmt: skip
    requests = make_requests([[1, 1, 1]])
    [level] = explain_request(
        observe(policy, requests, catalog, config), catalog[0], requests.eligible, 0
    )
    assert list(fates(level, catalog[0]).values()) == [
        Fate.KEPT,
        Fate.KEPT,
        Fate.CUT_BY_SCORE,
    ]
    assert level.head_N[:2].tolist() == [0, 1]


def drawn(seed, config, *, share=0.4):
    """Decode three drawn requests; returns trie, requests and what was seen."""
    rng = np.random.default_rng(seed)
    catalog = random_catalog(rng, 60)
    values = {(code,): float(rng.normal()) for code in range(4)}
    values |= {(code, next_): float(rng.normal()) for code in range(4) for next_ in range(4)}
    policy = TabularPolicy(catalog[0].codebook_sizes, (0.6, 0.4), values=values, seed=seed)
    requests = make_requests(rng.random((3, 60)) < share)
    return catalog[0], requests, observe(policy, requests, catalog, config)


@pytest.mark.parametrize("config", [GUIDED, SAMPLED, NARROW], ids=["guided", "sampled", "narrow"])
@pytest.mark.parametrize("seed", range(4))
def test_counts_add_up_to_all_children_of_the_beams(seed, config):
    trie, requests, seen = drawn(seed, config)
    for row in range(3):
        levels = explain_request(seen, trie, requests.eligible, row)
        assert [level.level for level in levels] == [0, 1, 2]
        parents = {0}
        for level in levels:
            children = trie.expand(torch.tensor(sorted(parents))).node_C
            assert level.node_N.tolist() == children.tolist()
            assert sum(level.counts().values()) == len(children)
            dead = level.fate_N == FATES.index(Fate.NO_ELIGIBLE_AD)
            assert (dead == (level.num_eligible_N == 0)).all()
            parents = set(level.node_N[level.fate_N <= 1].tolist())


def test_the_drawn_requests_have_every_fate():
    trie, requests, seen = drawn(0, GUIDED)
    levels = [
        level for row in range(3) for level in explain_request(seen, trie, requests.eligible, row)
    ]
    assert {place for level in levels for place in level.fate_N.tolist()} == set(range(5))


@pytest.mark.parametrize("seed", range(4))
def test_kept_prefixes_are_the_beams_of_the_next_level(seed):
    trie, requests, seen = drawn(seed, GUIDED)
    for row in range(3):
        levels = explain_request(seen, trie, requests.eligible, row)
        for level, after in zip(levels, seen[1:], strict=False):
            kept = level.node_N[level.fate_N <= FATES.index(Fate.KEPT_BY_VALUE)]
            assert kept.tolist() == np.unique(after.beams.node_M[after.beams.row_M == row]).tolist()


@pytest.mark.parametrize("config", [SAMPLED, BeamConfig(
    num_candidates=2, width_factors=(1.0,), value_bonus=(0.0,), share_by_value=False,
    exhaustive_factor=0,
)], ids=["sampled", "plain"])  # fmt: skip
def test_without_values_nothing_is_decided_by_value(config):
    trie, requests, seen = drawn(5, config)
    for level in seen:
        assert np.flatnonzero(kept_by_score_alone(level)).tolist() == level.kept_D.tolist()
    for row in range(3):
        for level in explain_request(seen, trie, requests.eligible, row):
            counts = level.counts()
            assert counts[Fate.KEPT_BY_VALUE] == counts[Fate.CUT_BY_VALUE] == 0


def test_an_exhaustive_search_keeps_everything_legal():
    trie, requests, seen = drawn(2, BeamConfig(num_candidates=20))
    for level in explain_request(seen, trie, requests.eligible, 0):
        counts = level.counts()
        assert counts[Fate.KEPT] == (level.num_eligible_N > 0).sum()
        assert counts[Fate.KEPT] + counts[Fate.NO_ELIGIBLE_AD] == level.node_N.size


def test_a_request_without_eligible_ads_has_no_level():
    catalog = make_catalog([[0], [1]])
    requests = make_requests([[0, 0], [1, 1]])
    seen = observe(TabularPolicy((2,)), requests, catalog, NARROW)
    assert explain_request(seen, catalog[0], requests.eligible, 0) == []
    assert len(explain_request(seen, catalog[0], requests.eligible, 1)) == 1


def test_the_best_of_a_fate_come_first(planted):
    policy, requests, catalog = planted
    wide = BeamConfig(
        num_candidates=1, width_factors=(1.0,), value_bonus=(0.0,), share_by_value=False,
        exhaustive_factor=0,
    )  # fmt: skip
    first, _ = explain_request(
        observe(policy, requests, catalog, wide), catalog[0], requests.eligible, 0
    )
    assert first.best(Fate.KEPT, 3).tolist() == [0]
    assert first.best(Fate.CUT_BY_SCORE, 2).tolist() == [1, 3]
    assert first.best(Fate.NO_ELIGIBLE_AD, 2).tolist() == [4]
