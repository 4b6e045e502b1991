import math

import numpy as np
import pytest
import torch

from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.models.hte import ItemValues
from gpr_core.objectives.code_loss import CodeLoss
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.batches import BatchSource, TrainBatch
from gpr_core.training.config import (
    HeadWeightConfig,
    OptimizerConfig,
    PartLossConfig,
    SequenceConfig,
    ValueLossConfig,
)
from gpr_core.training.examples import Examples, build_examples
from gpr_core.training.supervised import (
    HeadBalance,
    SupervisedLoss,
    curve_columns,
    curve_numbers,
    fit_value_scale,
    item_loss,
    level_loss,
    supervised_loss,
)
from tests.gpr_core.training.small_corpus import CODEBOOK_SIZES, CUTOFF_TS, make_small_corpus

TINY_MODEL = ModelConfig(
    width=8, attention_heads=2, hsd_layers=1, ptd_layers=1, num_heads=2, dropout=0.0
)
PARTS = PartLossConfig()


@pytest.fixture(scope="module")
def examples() -> Examples:
    corpus = make_small_corpus()
    return build_examples(
        corpus.tables, corpus.catalog, SequenceConfig(), num_heads=2, cutoff_ts=CUTOFF_TS, seed=0
    )


@pytest.fixture(scope="module")
def batch(examples: Examples) -> TrainBatch:
    optimizer = OptimizerConfig(batch_windows=4)
    return BatchSource(examples, SequenceConfig(), optimizer, seed=0, stage="test", epochs=1).at(0)


def make_model() -> GPR:
    seed_global_torch(0, "test")
    return GPR(TINY_MODEL, CODEBOOK_SIZES)


class FixedItems:
    """Stands in for the model's item heads."""

    def __init__(self, ctr: list[float], cvr: list[float], neg: list[float]) -> None:
        logits = [torch.logit(torch.tensor(column)) for column in (ctr, cvr, neg)]
        p_ctr, p_cvr, p_neg = (torch.sigmoid(one) for one in logits)
        self.values = ItemValues(p_ctr, p_cvr, p_ctr * p_cvr, p_neg, *logits)

    def item_values(self, *_: object) -> ItemValues:
        return self.values


def test_item_loss_is_the_sum_of_three_means_over_known_outcomes(batch: TrainBatch) -> None:
    known = [[True, True, True], [True, False, True]]
    two = batch._replace(
        ts_M=torch.zeros(2, dtype=torch.int64),
        label_M3=torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        is_mature_M3=torch.tensor(known),
    )
    items = FixedItems([0.2, 0.4], [0.5, 0.1], [0.1, 0.3])
    click = -(math.log(0.2) + math.log(0.6)) / 2
    conversion = -math.log(0.2 * 0.5)
    hide = -(math.log(0.9) + math.log(0.3)) / 2
    assert item_loss(items, None, two).item() == pytest.approx(click + conversion + hide)
    none = two._replace(label_M3=torch.zeros(2, 3))
    expected = -math.log(1 - 0.1) - (math.log(0.8) + math.log(0.6)) / 2
    expected -= (math.log(0.9) + math.log(0.7)) / 2
    assert item_loss(items, None, none).item() == pytest.approx(expected)


def test_an_immature_outcome_teaches_nothing(batch: TrainBatch) -> None:
    items = FixedItems([0.2] * len(batch.ts_M), [0.5] * len(batch.ts_M), [0.1] * len(batch.ts_M))
    none = batch._replace(is_mature_M3=torch.zeros_like(batch.is_mature_M3))
    assert item_loss(items, None, none).item() == 0.0


def test_level_loss_regresses_every_proper_prefix_to_the_standardized_value(
    batch: TrainBatch,
) -> None:
    class Fixed:
        num_levels = 3
        value_mean, value_std = torch.tensor(2.0), torch.tensor(4.0)

        def prefix_values(self, state: object, rows_N: torch.Tensor, codes_NP: torch.Tensor):
            return torch.full((len(rows_N),), float(codes_NP.shape[1]))

    one = batch._replace(
        ts_M=batch.ts_M[:1], path_MJL=batch.path_MJL[:1], value_M=torch.tensor([6.0])
    )
    # Target (6 - 2) / 4 = 1; values 0, 1, 2 for prefixes of 0, 1, 2 codes: errors 1, 0, 1.
    assert level_loss(Fixed(), None, one).item() == pytest.approx(2 / 3)


def test_value_losses_reach_the_value_heads_only(batch: TrainBatch) -> None:
    model = make_model()
    state = model.read(batch.timeline)
    (item_loss(model, state, batch) + level_loss(model, state, batch)).backward()
    for name, parameter in model.named_parameters():
        if not name.startswith("hte."):
            assert parameter.grad is None or not parameter.grad.any(), name
    assert any(parameter.grad.any() for parameter in model.hte.parameters())


def backbone_gradient(batch: TrainBatch, share: float) -> tuple[float, torch.Tensor | None]:
    """Value losses, and their gradient in a block of HSD, at a share of the gradient."""
    model = make_model()
    state = model.open_values(model.read(batch.timeline), share)
    loss = item_loss(model, state, batch) + level_loss(model, state, batch)
    loss.backward()
    return loss.item(), model.hsd.blocks[0].project.weight.grad


def test_the_backbone_gets_the_configured_share_of_the_gradient_of_values(
    batch: TrainBatch,
) -> None:
    none, half, full = (backbone_gradient(batch, share) for share in (0.0, 0.5, 1.0))
    assert none[0] == half[0] == full[0]
    assert none[1] is None
    assert full[1].any()
    torch.testing.assert_close(half[1], full[1] / 2)


def test_an_open_backbone_is_trained_by_value_losses(batch: TrainBatch) -> None:
    gradients = []
    for share in (0.0, 1.0):
        model = make_model()
        config = ValueLossConfig(backbone_grad=share)
        supervised_loss(model, batch, config, PARTS, use_omega=False).loss.backward()
        gradients.append(model.hsd.blocks[0].project.weight.grad)
    assert not torch.allclose(gradients[0], gradients[1])


def test_the_code_loss_reaches_the_policy_only(batch: TrainBatch) -> None:
    model = make_model()
    loss = supervised_loss(model, batch, ValueLossConfig(item=0, level=0), PARTS, use_omega=False)
    loss.loss.backward()
    assert all(
        parameter.grad is None or not parameter.grad.any() for parameter in model.hte.parameters()
    )
    assert model.hsd.blocks[0].project.weight.grad.any()


def test_equal_value_weights_change_nothing_and_unequal_ones_do(batch: TrainBatch) -> None:
    model = make_model().eval()
    config = ValueLossConfig()
    plain = supervised_loss(model, batch, config, PARTS, use_omega=False).code
    equal = batch._replace(omega_MJ=torch.full_like(batch.omega_MJ, 3.0))
    weighted = supervised_loss(model, batch, config, PARTS, use_omega=True).code
    same = supervised_loss(model, equal, config, PARTS, use_omega=True).code
    assert same.loss.item() == pytest.approx(plain.loss.item(), rel=1e-5)
    assert abs(weighted.loss.item() - plain.loss.item()) > 1e-4
    assert torch.equal(weighted.nll_JL, plain.nll_JL)


def test_the_value_scale_is_that_of_the_loss_decisions(examples: Examples) -> None:
    model = make_model()
    fit_value_scale(model, examples)
    values = examples.value_X[examples.is_loss_X]
    assert float(model.value_mean) == pytest.approx(values.mean())
    assert float(model.value_std) == pytest.approx(values.std())
    is_known = examples.is_loss_X & examples.is_mature_X3[:, 0]
    clicks = examples.label_X3[is_known, 0]
    click = (clicks.sum() + 1) / (clicks.size + 2)
    assert torch.sigmoid(model.hte.item_bias_X)[0].item() == pytest.approx(click)


def make_code_loss(nll: list[float], count: list[int]) -> CodeLoss:
    count_J = torch.tensor(count)
    return CodeLoss(torch.zeros(()), (torch.tensor(nll) * count_J)[:, None].expand(-1, 3), count_J)


def test_head_weights_wait_for_the_warm_up_and_keep_their_floor() -> None:
    model = make_model()
    config = HeadWeightConfig(update_every=2, warmup_updates=3, ema_decay=0.0)
    balance = HeadBalance(2, config)
    balance.observe(make_code_loss([0.0, 50.0], [5, 5]))
    for update in (0, 1, 2):
        balance.apply_to(model, update)
        assert model.head_weights_J.tolist() == [0.5, 0.5]
    balance.apply_to(model, 3)
    # 0.5 / 2 for everyone, and the adaptive half for the easy head.
    assert model.head_weights_J.tolist() == [0.75, 0.25]


def test_the_curve_shows_unweighted_losses_of_each_head() -> None:
    model = make_model()
    balance = HeadBalance(2, HeadWeightConfig())
    code = make_code_loss([1.5, 0.0], [4, 0])
    balance.observe(code)
    zero = torch.zeros(())
    sums = SupervisedLoss(zero, code, zero, zero, {}).sums()
    numbers = curve_numbers(sums, balance, model)
    assert tuple(numbers) == curve_columns(TINY_MODEL)
    assert numbers["nll_head_1"] == 1.5
    assert np.isnan(numbers["nll_head_2"])
    assert numbers["weight_head_1"] == 0.5
