"""Tests of targets by matching."""

import itertools

import pytest
import torch

from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.objectives.code_loss import path_logp
from gpr_core.support.seeding import seed_global_torch, torch_stream
from gpr_core.training import matching
from gpr_core.training.batches import BatchSource
from gpr_core.training.config import (
    HeadWeightConfig,
    OptimizerConfig,
    PartLossConfig,
    SequenceConfig,
    ValueLossConfig,
)
from gpr_core.training.examples import build_examples
from gpr_core.training.matching import HeadMatcher, assign, target_costs
from gpr_core.training.supervised import supervised_loss
from tests.gpr_core.training.small_corpus import CODEBOOK_SIZES, CUTOFF_TS, make_small_corpus

HEADS = 3
CONFIG = ModelConfig(
    width=8, attention_heads=2, hsd_layers=1, ptd_layers=1, num_heads=HEADS, dropout=0.0
)
FREE = HeadWeightConfig(match_balance=0.0)


@pytest.fixture(scope="module")
def batch():
    corpus = make_small_corpus()
    sequence = SequenceConfig(max_tokens=24, new_tokens=12, targets="matching")
    examples = build_examples(
        corpus.tables, corpus.catalog, sequence, num_heads=HEADS, cutoff_ts=CUTOFF_TS, seed=0
    )
    return BatchSource(examples, sequence, OptimizerConfig(), seed=0, stage="t", epochs=1).at(0)


@pytest.fixture(scope="module")
def model():
    seed_global_torch(0, "matching")
    return GPR(CONFIG, CODEBOOK_SIZES).eval()


def losses_of(model, state, batch):
    """Loss of each head on its own target, [M, J]."""
    logits = model.path_logits(state, batch.path_MJL)
    return -path_logp(logits, batch.path_MJL, batch.legal, batch.ok_MJ).sum(-1) * batch.ok_MJ


def shuffled(batch, order):
    """Give the targets of all requests to other heads."""
    return batch._replace(
        path_MJL=batch.path_MJL[:, order],
        ok_MJ=batch.ok_MJ[:, order],
        legal=tuple(mask[:, order] for mask in batch.legal),
        omega_MJ=batch.omega_MJ[:, order],
    )


def test_the_assignment_is_the_cheapest_of_all():
    cost_MJK = torch.rand(50, 4, 4, generator=torch_stream(0, "costs"))
    found_MJ = assign(cost_MJK)
    for cost_JK, found_J in zip(cost_MJK, found_MJ, strict=True):
        every = itertools.permutations(range(4))
        best = min(every, key=lambda order: sum(cost_JK[j, k] for j, k in enumerate(order)))
        assert found_J.tolist() == list(best)


def test_costs_are_the_losses_of_every_head_on_every_target(model, batch):
    state = model.read(batch.timeline)
    cost_MJK = target_costs(model, state, batch)
    for shift in range(HEADS):
        order = [(head + shift) % HEADS for head in range(HEADS)]
        expected_MJ = losses_of(model, state, shuffled(batch, order))
        found_MJ = cost_MJK[:, range(HEADS), order]
        torch.testing.assert_close(found_MJ, expected_MJ)


def test_matching_never_costs_more_and_the_first_order_does_not_matter(model, batch):
    state = model.read(batch.timeline)
    matched = HeadMatcher(HEADS, FREE).match(model, state, batch)
    before, after = (losses_of(model, state, one).sum(1) for one in (batch, matched))
    assert bool((after <= before + 1e-5).all())
    assert bool((after < before - 1e-3).any())
    other = HeadMatcher(HEADS, FREE).match(model, state, shuffled(batch, [2, 0, 1]))
    torch.testing.assert_close(losses_of(model, state, other).sum(1), after)


def test_targets_keep_their_legal_sets_and_weights(model, batch):
    matched = HeadMatcher(HEADS, FREE).match(model, model.read(batch.timeline), batch)
    assert torch.equal(matched.ok_MJ.sum(1), batch.ok_MJ.sum(1))
    for row in range(len(batch.ts_M)):
        pairs = [
            sorted(
                (*path.tolist(), omega.item(), *legal.tolist())
                for path, omega, legal in zip(
                    one.path_MJL[row], one.omega_MJ[row], one.legal[1][row], strict=True
                )
            )
            for one in (batch, matched)
        ]
        assert pairs[0] == pairs[1]
    assert torch.equal(matched.value_M, batch.value_M)


def uses(monkeypatch, model, batch, strength):
    """Match many times with a first head that fits everything 0.3 nats better; one target each."""
    advantage_J1 = torch.tensor([0.0, 0.3, 0.3])[:, None]
    only_first = batch._replace(ok_MJ=batch.ok_MJ & (torch.arange(HEADS) == 0))
    monkeypatch.setattr(
        matching,
        "target_costs",
        lambda _model, _state, one: torch.where(one.ok_MJ[:, None, :], advantage_J1, 0.0),
    )
    matcher = HeadMatcher(HEADS, HeadWeightConfig(match_balance=strength))
    total_J = torch.zeros(HEADS)
    for _ in range(200):
        count_J = matcher.match(model, None, only_first).ok_MJ.sum(0)
        matcher.observe(count_J)
        total_J += count_J
    return (total_J / total_J.sum()).tolist()


def test_a_head_that_takes_everything_pays_until_the_others_get_targets(monkeypatch, model, batch):
    assert uses(monkeypatch, model, batch, 0.0) == [1.0, 0.0, 0.0]
    # Heads are used evenly up to what 0.3 nats are worth: e^0.3 of the share of the others.
    assert 0.3 < max(uses(monkeypatch, model, batch, 1.0)) < 0.55


def test_no_gradient_passes_through_the_choice(model, batch):
    state = model.read(batch.timeline)
    assert not target_costs(model, state, batch).requires_grad


def test_values_stay_those_of_the_exposed_ad(model, batch):
    weights = (ValueLossConfig(), PartLossConfig())
    plain = supervised_loss(model, batch, *weights, use_omega=False)
    matched = supervised_loss(
        model, batch, *weights, use_omega=False, matcher=HeadMatcher(HEADS, FREE)
    )
    nats = [float((one.code.nll_J * one.code.count_J).sum()) for one in (plain, matched)]
    assert nats[1] < nats[0]
    assert (matched.item.item(), matched.level.item()) == (plain.item.item(), plain.level.item())
