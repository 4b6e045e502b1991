import pytest
import torch

from gpr_core.data.tables import TokenKind
from gpr_core.models import gpr, masks
from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.models.masks import segment_hybrid_peers
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.config import SequenceConfig
from gpr_core.training.examples import Examples, build_examples
from gpr_core.training.leak_probe import leak_probe, perturb_future, probe_batch
from tests.gpr_core.training.small_corpus import CODEBOOK_SIZES, CUTOFF_TS, make_small_corpus


@pytest.fixture(scope="module")
def examples() -> Examples:
    corpus = make_small_corpus()
    sequence = SequenceConfig(max_tokens=32, new_tokens=24)
    return build_examples(
        corpus.tables, corpus.catalog, sequence, num_heads=2, cutoff_ts=CUTOFF_TS, seed=0
    )


@pytest.fixture
def model() -> GPR:
    seed_global_torch(0, "test")
    config = ModelConfig(width=16, attention_heads=2, hsd_layers=3, ptd_layers=1, num_heads=2)
    return GPR(config, CODEBOOK_SIZES).eval()


def test_the_future_does_not_change_a_readout_at_all(examples: Examples, model: GPR) -> None:
    assert leak_probe(model, probe_batch(examples), seed=1) == 0.0


def test_the_probe_bites_when_all_prompts_see_each_other(
    examples: Examples, model: GPR, monkeypatch: pytest.MonkeyPatch
) -> None:
    def literal_equation_2(kind_BT: torch.Tensor, seg_BT: torch.Tensor) -> torch.Tensor:
        return segment_hybrid_peers(kind_BT, torch.zeros_like(seg_BT))

    monkeypatch.setattr(masks, "segment_hybrid_peers", literal_equation_2)
    assert leak_probe(model, probe_batch(examples), seed=1) > 1e-3


def test_the_probe_bites_when_the_memory_is_not_cut(
    examples: Examples, model: GPR, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole_sequence(kind_BT: torch.Tensor, row_M: torch.Tensor, *_: object) -> torch.Tensor:
        return kind_BT[row_M] != TokenKind.PAD

    monkeypatch.setattr(gpr, "memory_mask", whole_sequence)
    assert leak_probe(model, probe_batch(examples), seed=1) > 1e-3


def test_only_later_tokens_change_and_their_kinds_are_kept(examples: Examples) -> None:
    batch = probe_batch(examples)
    position_B = batch.readout_BR[:, 0]
    changed = perturb_future(batch, position_B, seed=1)
    place_T = torch.arange(batch.kind_BT.shape[1])
    is_past_BT = place_T <= position_B[:, None]
    for name in ("kind_BT", "sid_BTL", "has_sid_BT", "feat_BTF", "ts_BT", "seg_BT"):
        before, after = getattr(batch, name), getattr(changed, name)
        assert torch.equal(before[is_past_BT], after[is_past_BT]), name
    for kind in TokenKind:
        assert torch.equal((batch.kind_BT == kind).sum(1), (changed.kind_BT == kind).sum(1))
    assert (batch.kind_BT != changed.kind_BT).any()
    assert (batch.sid_BTL != changed.sid_BTL).any()
