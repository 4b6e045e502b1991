"""Own trap: an update read in shares whose losses are means of each share, averaged."""

import pytest
import torch

from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.batches import BatchSource
from gpr_core.training.config import (
    HeadWeightConfig,
    OptimizerConfig,
    PartLossConfig,
    SequenceConfig,
    ValueLossConfig,
)
from gpr_core.training.examples import build_examples
from gpr_core.training.matching import HeadMatcher
from gpr_core.training.supervised import supervised_loss
from tests.gpr_core.training.small_corpus import CODEBOOK_SIZES, CUTOFF_TS, make_small_corpus

SHARES, HEADS = 5, 2
MODEL = ModelConfig(
    width=8, attention_heads=2, hsd_layers=1, ptd_layers=1, num_heads=HEADS, dropout=0.0
)


@pytest.fixture(scope="module")
def source():
    """Windows with one to eight readouts, so that shares are uneven."""
    corpus = make_small_corpus()
    sequence = SequenceConfig(max_tokens=24, new_tokens=12)
    examples = build_examples(
        corpus.tables, corpus.catalog, sequence, num_heads=HEADS, cutoff_ts=CUTOFF_TS, seed=0
    )
    return BatchSource(
        examples, sequence, OptimizerConfig(), seed=0, stage="t", epochs=1, num_shares=SHARES
    )


def read(batches, totals, *, use_omega, matches, factor=1.0):
    """Sum of losses, gradient of all weights and sums of numbers over batches."""
    seed_global_torch(0, "mean of means")
    model = GPR(MODEL, CODEBOOK_SIZES)
    matcher = HeadMatcher(HEADS, HeadWeightConfig()) if matches else None
    losses = []
    for batch in batches:
        loss = supervised_loss(
            model,
            batch,
            ValueLossConfig(backbone_grad=1.0),
            PartLossConfig(),
            use_omega=use_omega,
            matcher=matcher,
            totals=totals,
        )
        (factor * loss.loss).backward()
        losses.append(factor * loss.loss.detach())
    gradient = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    return torch.stack(losses).sum(), gradient


def shares_of(source):
    return [source.share(0, share) for share in range(SHARES)]


def adds_up(found, expected):
    """The check of this trap: loss and gradient of the shares are those of the whole update."""
    largest = expected[1].abs().max()
    close = (found[1] - expected[1]).abs().max() < 1e-5 * largest
    return bool(close) and float(found[0]) == pytest.approx(float(expected[0]), rel=1e-5)


CASES = pytest.mark.parametrize(
    ("use_omega", "matches"), [(False, False), (True, False), (True, True)]
)


@CASES
def test_the_shares_of_an_update_add_up_to_it(source, use_omega, matches):
    how = {"use_omega": use_omega, "matches": matches}
    whole = read([source.at(0)], None, **how)
    assert len({len(batch.ts_M) for batch in shares_of(source)}) > 1
    assert adds_up(read(shares_of(source), source.totals(0), **how), whole)


@CASES
def test_the_mean_of_the_means_of_shares_is_caught(source, use_omega, matches):
    how = {"use_omega": use_omega, "matches": matches}
    whole = read([source.at(0)], None, **how)
    assert not adds_up(read(shares_of(source), None, factor=1 / SHARES, **how), whole)
