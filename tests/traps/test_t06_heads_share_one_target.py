"""T06: all heads share one target, or learn the same distribution."""

import numpy as np
import pytest
import torch

from gpr_core.features.targets import Exposures, count_shared_codes, next_distinct_targets
from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.batches import with_targets
from gpr_core.training.config import MtpConfig, OptimizerConfig, SequenceConfig
from gpr_core.training.examples import Examples, build_examples
from gpr_core.training.mtp import Surroundings, pretrain
from gpr_core.training.validation import gate_rows, head_divergence
from tests.gpr_core.training.small_corpus import CODEBOOK_SIZES, CUTOFF_TS, make_small_corpus

LEAST_DIVERGENCE = 0.05
CONFIG = MtpConfig(
    model=ModelConfig(
        width=16, attention_heads=2, hsd_layers=1, ptd_layers=1, num_heads=2, dropout=0.0
    ),
    sequence=SequenceConfig(max_tokens=32, new_tokens=16, gate_user_share=0.5),
    optimizer=OptimizerConfig(batch_windows=8, learning_rate=5e-3),
    epochs=12,
)


@pytest.fixture(scope="module")
def exposures() -> Exposures:
    """300 exposures of 6 users who alternate between few interests."""
    rng = np.random.Generator(np.random.PCG64(1))
    path = np.stack([rng.integers(0, 3, 300), rng.integers(0, 9, 300)], axis=1)
    return Exposures(
        user_key_M=rng.integers(0, 6, 300),
        request_key_M=np.arange(300),
        ts_M=np.sort(rng.integers(0, 10_000, 300)),
        path_ML=path.astype(np.int16),
        usable_M=np.ones(300, dtype=bool),
    )


def test_heads_have_different_level_1_targets(exposures: Exposures) -> None:
    target = next_distinct_targets(
        exposures,
        num_heads=3,
        horizon_ms=5_000,
        cutoff_ts=10_000,
        is_eligible=lambda rows, later: np.ones(rows.size, dtype=bool),
    )
    assert (target[:, 2] >= 0).mean() > 0.5
    assert count_shared_codes(target, exposures.path_ML) == 0


def test_the_check_bites_on_the_next_exposures_whatever_they_are(exposures: Exposures) -> None:
    order = np.lexsort((exposures.ts_M, exposures.user_key_M))
    target = np.full((300, 3), -1)
    for head in range(3):
        has_next = np.zeros(300, dtype=bool)
        has_next[: 300 - head] = (
            exposures.user_key_M[order][head:] == exposures.user_key_M[order][: 300 - head]
        )
        target[order[has_next], head] = order[np.flatnonzero(has_next) + head]
    assert count_shared_codes(target, exposures.path_ML) > 100


@pytest.fixture(scope="module")
def examples() -> Examples:
    corpus = make_small_corpus(alternates=True)
    return build_examples(
        corpus.tables, corpus.catalog, CONFIG.sequence, num_heads=2, cutoff_ts=CUTOFF_TS, seed=0
    )


@pytest.fixture(scope="module")
def model(examples: Examples, tmp_path_factory: pytest.TempPathFactory) -> GPR:
    seed_global_torch(0, "t06")
    model = GPR(CONFIG.model, CODEBOOK_SIZES)
    scratch = tmp_path_factory.mktemp("scratch")
    around = Surroundings(
        seed=0, device="cpu", cutoff_ts=CUTOFF_TS, scratch=scratch, progress=Progress("t06")
    )
    pretrain(model, examples, CONFIG, around, continues=False)
    return model


def level_1(model: GPR, examples: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    """Level-1 logits and legal codes at the held-out requests."""
    rows = gate_rows(examples)
    timeline = examples.store.prefix_batch(examples.context.request_key[rows], 32)
    batch = with_targets(examples, timeline, rows)
    with torch.no_grad():
        logits = model.path_logits(model.read(batch.timeline), batch.path_MJL)[0]
    return logits, batch.legal[0][:, 0]


def covered_interests(logits: torch.Tensor, examples: Examples) -> float:
    """Share of the two categories each user likes that the heads' first choices name."""
    user = examples.context.user_key[gate_rows(examples)]
    liked = np.stack([user % 4, (user + 1) % 4], axis=1)
    named = logits.argmax(-1).numpy()
    return float((liked[:, :, None] == named[:, None, :]).any(-1).mean())


def test_trained_heads_diverge_and_each_covers_an_interest(model: GPR, examples: Examples) -> None:
    logits, legal = level_1(model, examples)
    assert float(head_divergence(logits, legal).mean()) >= LEAST_DIVERGENCE
    both = covered_interests(logits, examples)
    assert both > covered_interests(logits[:, :1], examples) + 0.2
    assert both > 0.7


def test_the_check_bites_on_merged_heads(model: GPR, examples: Examples) -> None:
    logits, legal = level_1(model, examples)
    merged = logits[:, :1].expand_as(logits)
    assert float(head_divergence(merged, legal).mean()) < LEAST_DIVERGENCE
    assert covered_interests(merged, examples) == covered_interests(logits[:, :1], examples)
