from pathlib import Path

import pytest
import torch

from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.config import OptimizerConfig, SequenceConfig, VaftConfig
from gpr_core.training.examples import Examples, build_examples
from gpr_core.training.mtp import Surroundings
from gpr_core.training.vaft import fine_tune, is_weighted
from tests.gpr_core.training.small_corpus import CODEBOOK_SIZES, CUTOFF_TS, make_small_corpus

SEQUENCE = SequenceConfig(max_tokens=24, new_tokens=12)
MODEL = ModelConfig(width=8, attention_heads=2, hsd_layers=1, ptd_layers=1, num_heads=2)


def test_the_unweighted_share_of_batches_is_kept() -> None:
    draws = [is_weighted(0, update, 0.2) for update in range(2000)]
    assert 0.77 < sum(draws) / 2000 < 0.83
    assert draws == [is_weighted(0, update, 0.2) for update in range(2000)]
    assert all(is_weighted(0, update, 0.0) for update in range(50))
    assert not any(is_weighted(0, update, 1.0) for update in range(50))


def make_examples(*, omega: float | None = None) -> Examples:
    corpus = make_small_corpus()
    examples = build_examples(
        corpus.tables, corpus.catalog, SEQUENCE, num_heads=2, cutoff_ts=CUTOFF_TS, seed=0
    )
    if omega is not None:
        examples.omega_X[:] = omega
    return examples


def fine_tuned(examples: Examples, folder: Path, *, unweighted_share: float) -> GPR:
    seed_global_torch(0, "test")
    model = GPR(MODEL, CODEBOOK_SIZES)
    config = VaftConfig(
        optimizer=OptimizerConfig(batch_windows=16), unweighted_share=unweighted_share
    )
    around = Surroundings(
        seed=0, device="cpu", cutoff_ts=CUTOFF_TS, scratch=folder, progress=Progress("test")
    )
    fine_tune(model, examples, SEQUENCE, config, around)
    return model


def distance(one: GPR, two: GPR) -> float:
    pairs = zip(one.parameters(), two.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)


def test_weights_matter_and_equal_weights_are_no_weights(tmp_path: Path) -> None:
    plain = fine_tuned(make_examples(), tmp_path / "plain", unweighted_share=1.0)
    weighted = fine_tuned(make_examples(), tmp_path / "weighted", unweighted_share=0.0)
    equal = fine_tuned(make_examples(omega=1.0), tmp_path / "equal", unweighted_share=0.0)
    assert distance(plain, weighted) > 1e-4
    assert distance(plain, equal) == pytest.approx(0.0, abs=1e-6)


def test_twice_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    one = fine_tuned(make_examples(), tmp_path / "one", unweighted_share=0.2)
    two = fine_tuned(make_examples(), tmp_path / "two", unweighted_share=0.2)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name]), name
