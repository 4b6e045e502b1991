from dataclasses import replace

import numpy as np
import pytest
import torch

from gpr_core.baselines.popularity import Popularity
from gpr_core.evaluation import policies
from gpr_core.evaluation.policies import (
    auction_search,
    explain_decodes,
    floor_proposals,
    load_policy,
    propose,
    rank_ads,
)
from gpr_core.evaluation.pool import fixed_pool
from gpr_core.evaluation.ranked_ads import check_distinct
from gpr_core.generation.explanation import FATES, Fate
from gpr_core.support.errors import ArtifactError
from tests.gpr_core.catalog.catalogs import legal_nodes
from tests.mini_day import CUTOFF, PARAMS
from tests.prefixes import logits_after


@pytest.fixture(scope="module")
def day(mini_day):
    day = mini_day.prepare(max_requests=9)
    # Some ads may not serve, so that legality is tested and not granted.
    eligible_BA = day.eligible_BA.copy()
    eligible_BA[:, ::3] = False
    eligible_BA[2] = False
    return replace(day, eligible_BA=eligible_BA)


@pytest.fixture(scope="module")
def popularity(day):
    known = day.exposures.before(CUTOFF)
    num_ads = day.eligible_BA.shape[1]
    return Popularity.fit(
        known.rank_M, known.ts_M, num_ads=num_ads, cutoff_ts=CUTOFF, half_life_days=7.0
    )


@pytest.fixture(scope="module")
def pool(day, popularity):
    return fixed_pool(
        day.requests["request_key"].to_numpy(),
        day.truth_B,
        day.eligible_BA,
        popularity.share_A,
        day.catalog.catalog.ads.ad_key_A,
        size=PARAMS.pool_size,
        popular=PARAMS.pool_popular,
        seed=0,
    )


@pytest.fixture(scope="module")
def policy(mini_day, day):
    folder = mini_day.root / "hepo_checkpoint"
    return load_policy(folder, day.catalog, day.store, device="cpu")


def ignore(done, total):
    """Report progress to nobody."""


@pytest.fixture(scope="module")
def proposals(policy, day, pool):
    return propose(policy, day, pool, PARAMS, ignore)


def assert_legal(lists, eligible_BA):
    """Every ad of every list may serve its request."""
    row, place = np.nonzero(lists.is_ad())
    assert eligible_BA[row, lists.rank_BK[row, place]].all()


def test_lists_are_legal_distinct_and_as_long_as_asked(proposals, day):
    for lists, length in ((proposals.retrieval, 10), (proposals.auction, 5)):
        check_distinct("policy", lists)
        assert_legal(lists, day.eligible_BA)
        wanted = np.minimum(day.eligible_BA.sum(1), length)
        found = lists.is_ad().sum(1)
        assert (found <= wanted).all()
        assert found[2] == 0
        assert (found[wanted > 0] > 0).all()


def test_retrieval_lists_are_sorted_by_score(proposals):
    score_BK = np.where(proposals.retrieval.is_ad(), proposals.retrieval.score_BK, -1e9)
    assert (np.diff(score_BK, axis=1) <= 0).all()


def test_answers_do_not_depend_on_the_batch(policy, day, pool, proposals):
    alone = propose(policy, day, pool, replace(PARAMS, batch_requests=1), ignore)
    assert alone.retrieval.rank_BK.tolist() == proposals.retrieval.rank_BK.tolist()
    assert alone.auction.rank_BK.tolist() == proposals.auction.rank_BK.tolist()
    assert alone.pool_score_BP.tolist() == proposals.pool_score_BP.tolist()


def test_pool_order_is_that_of_the_mixture_computed_by_hand(policy, day, pool, proposals):
    """One request: the probability of each path, head by head and code by code."""
    row = 0
    requests, state = policies._read(
        policy, day, np.array([row]), policy.catalog.to_rank_of(day.catalog)
    )
    trie = policy.catalog.catalog.trie
    legal_BN = legal_nodes(trie, requests.eligible.mask())
    expected = []
    for rank in pool[row][pool[row] >= 0].tolist():
        codes = trie.paths_of(torch.tensor([rank]))[0]
        mixture = 0.0
        for head, weight in enumerate(policy.model.head_weights_J.tolist()):
            node, logp = 0, 0.0
            for level in range(trie.num_levels):
                child = trie.children(torch.tensor([node]))[0]
                legal = (child >= 0) & legal_BN[0, child.clamp(min=0)]
                with torch.no_grad():
                    logits = logits_after(
                        policy.model,
                        state,
                        torch.tensor([0]),
                        torch.tensor([head]),
                        codes[None, :level],
                    )[0]
                legal = legal[: len(logits)]
                scores = torch.where(legal, logits, torch.tensor(float("-inf")))
                logp += float(torch.log_softmax(scores, 0)[codes[level]])
                node = int(child[codes[level]])
            mixture += weight * np.exp(logp)
        expected.append(np.log(mixture))
    expected, score = np.array(expected), proposals.pool_score_BP[row][: len(expected)]
    order = np.argsort(-score)
    assert (np.diff(expected[order]) <= 1e-5).all()


def test_explained_decodes_are_those_of_the_lists(policy, day):
    """The leaves that were kept hold every ad of the list; a request without ads has no level."""
    config = replace(PARAMS, value_candidates=1)
    beam = auction_search(config)
    lists = rank_ads(policy, day, beam, batch_requests=4)
    trie = policy.catalog.catalog.trie
    rows_B = np.array([0, 2, 5])
    for row, levels in zip(rows_B, explain_decodes(policy, day, beam, rows_B), strict=True):
        if row == 2:
            assert levels == []
            continue
        last = levels[-1]
        kept = last.node_N[last.fate_N <= FATES.index(Fate.KEPT_BY_VALUE)]
        listed = lists.rank_BK[row, :1]
        assert set(trie.leaf_of(torch.from_numpy(listed)).tolist()) <= set(kept.tolist())
        assert last.num_eligible_N[np.isin(last.node_N, kept)].min() > 0


def test_padding_of_the_pool_is_never_scored(proposals, pool):
    assert np.isneginf(proposals.pool_score_BP[pool < 0]).all()
    assert np.isfinite(proposals.pool_score_BP[pool >= 0]).all()


def test_a_policy_of_another_tokenizer_is_refused(mini_day, day):
    other = replace(day.catalog, tokenizer_version="another")
    with pytest.raises(ArtifactError, match="codes come from another"):
        load_policy(mini_day.root / "hepo_checkpoint", other, day.store, device="cpu")


def test_floors_are_legal_distinct_and_full(day, pool, popularity):
    floors = floor_proposals(day, pool, PARAMS, cutoff_ts=CUTOFF, popularity=popularity)
    assert list(floors) == ["popularity", "transitions", "repeat_last", "item_knn"]
    for name, offer in floors.items():
        check_distinct(name, offer.retrieval)
        assert_legal(offer.retrieval, day.eligible_BA)
        wanted = np.minimum(day.eligible_BA.sum(1), 10)
        assert offer.retrieval.is_ad().sum(1).tolist() == wanted.tolist()
        assert offer.auction.rank_BK.tolist() == offer.retrieval.rank_BK[:, :5].tolist()
        assert np.isneginf(offer.pool_score_BP[pool < 0]).all()


def test_repeat_last_leads_with_the_ad_shown_last(day, pool, popularity):
    floors = floor_proposals(day, pool, PARAMS, cutoff_ts=CUTOFF, popularity=popularity)
    recent_BH = day.exposures.recent(day.column("user_key"), day.column("ts"), 50)
    for row, recent in enumerate(recent_BH.tolist()):
        seen = [rank for rank in recent if rank >= 0 and day.eligible_BA[row, rank]]
        if seen:
            assert floors["repeat_last"].retrieval.rank_BK[row, 0] == seen[0]


def test_floors_are_fitted_on_training_days_only(day, pool, popularity):
    """Exposures of the evaluation day change histories, never counts."""
    shown = day.exposures
    later = replace(
        day,
        exposures=replace(shown, rank_M=np.where(shown.ts_M >= CUTOFF, 0, shown.rank_M)),
    )
    before, after = (
        floor_proposals(one, pool, PARAMS, cutoff_ts=CUTOFF, popularity=popularity)
        for one in (day, later)
    )
    lists = [found["popularity"].retrieval.rank_BK.tolist() for found in (before, after)]
    assert lists[0] == lists[1]
