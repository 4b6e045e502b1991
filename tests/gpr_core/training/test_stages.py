import pytest
import torch

from gpr_core.models.config import ModelConfig, RecursionConfig, RefiningConfig
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
from gpr_core.training.stages import Losses, make_task
from tests.gpr_core.training.small_corpus import (
    CODEBOOK_SIZES,
    CUTOFF_TS,
    make_small_corpus,
    say_favorites,
)

SMALLEST = {
    "width": 8,
    "attention_heads": 2,
    "hsd_layers": 1,
    "ptd_layers": 1,
    "num_heads": 2,
}
PARTS = {
    "all parts off": {},
    "recursion": {"hsd_layers": 3, "recursion": RecursionConfig(router="token_choice")},
    "knowledge": {"knowledge_vectors": 2},
    "diffusion": {"refine": RefiningConfig(kind="diffusion")},
}


@pytest.mark.parametrize("matches_heads", [False, True])
@pytest.mark.parametrize("changes", PARTS.values(), ids=PARTS)
def test_a_task_covers_every_parameter_once_and_moves_head_weights(changes, matches_heads) -> None:
    corpus = make_small_corpus()
    sequence = SequenceConfig(max_tokens=24, new_tokens=12)
    examples = build_examples(
        corpus.tables._replace(thoughts=say_favorites()),
        corpus.catalog,
        sequence,
        num_heads=2,
        cutoff_ts=CUTOFF_TS,
        seed=0,
    )
    seed_global_torch(0, "test")
    model = GPR(ModelConfig(**{**SMALLEST, **changes}), CODEBOOK_SIZES)
    source = BatchSource(examples, sequence, OptimizerConfig(), seed=0, stage="test", epochs=1)
    asked: list[int] = []

    def use_omega(update: int) -> bool:
        asked.append(update)
        return False

    losses = Losses(
        heads=HeadWeightConfig(update_every=1, warmup_updates=0),
        value=ValueLossConfig(),
        parts=PartLossConfig(),
        matches_heads=matches_heads,
        use_omega=use_omega,
    )
    task = make_task(model, source, losses, stage="test", seed=0)
    grouped = [id(parameter) for group in task.parameter_groups for parameter in group]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())
    assert {id(one) for one in task.parameter_groups[1]} == {
        id(one) for one in model.hte.parameters()
    }
    result = task.loss_at(0, 0)
    assert asked == [0]
    assert {name: one.shape for name, one in result.sums.items()} == {
        name: zeros.shape for name, zeros in task.no_sums.items()
    }
    assert set(task.observe(result.sums)) == set(task.columns)
    valid = (source.at(0).timeline.kind_BT != 4).sum()
    assert result.tokens == int(valid)
    task.after_update(0)
    weights = model.head_weights_J
    assert weights.tolist() != [0.5, 0.5]
    assert torch.isclose(weights.sum(), torch.tensor(1.0), atol=1e-6)


def saved_bytes(task, share) -> int:
    """Memory that the backward pass of one share keeps, in bytes."""
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = task.loss_at(0, share)
    assert result.loss.requires_grad
    return sum(kept.values())


def test_a_share_keeps_its_part_of_the_memory_of_an_update() -> None:
    corpus = make_small_corpus()
    sequence = SequenceConfig(max_tokens=24, new_tokens=12)
    examples = build_examples(
        corpus.tables, corpus.catalog, sequence, num_heads=2, cutoff_ts=CUTOFF_TS, seed=0
    )
    losses = Losses(
        heads=HeadWeightConfig(),
        value=ValueLossConfig(),
        parts=PartLossConfig(),
        matches_heads=False,
        use_omega=lambda _: False,
    )
    model = GPR(ModelConfig(**SMALLEST), CODEBOOK_SIZES)
    weights = sum(one.numel() * one.element_size() for one in model.parameters())
    whole, *shares = [
        saved_bytes(make_task(model, source, losses, stage="test", seed=0), share) - weights
        for num_shares in (1, 4)
        for source in [
            BatchSource(
                examples,
                sequence,
                OptimizerConfig(),
                seed=0,
                stage="test",
                epochs=1,
                num_shares=num_shares,
            )
        ]
        for share in range(num_shares)
    ]
    assert max(shares) < 0.4 * whole
