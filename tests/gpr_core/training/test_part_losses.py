"""Tests of the losses of parts that can be switched on."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from gpr_core.models.config import ModelConfig, RecursionConfig, RefiningConfig
from gpr_core.models.gpr import GPR
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.batches import BatchSource
from gpr_core.training.config import (
    OptimizerConfig,
    PartLossConfig,
    SequenceConfig,
    ValueLossConfig,
)
from gpr_core.training.examples import build_examples
from gpr_core.training.part_losses import part_columns, part_losses, part_numbers, weighted_sum
from gpr_core.training.supervised import supervised_loss
from gpr_core.training.totals import WHOLE, Share
from tests.gpr_core.training.small_corpus import CODEBOOK_SIZES, CUTOFF_TS, make_small_corpus
from tests.timelines import SMALL, make_batch, make_model

RECURSION = RecursionConfig(router="token_choice", max_depth=2)


TARGETS = SimpleNamespace(path_MJL=torch.tensor([[[1, 2, 3], [0, 0, 0]]]))


def test_parts_that_are_off_add_nothing():
    model = make_model()
    state = model.read(make_batch("UOE"))
    losses = part_losses(model, state, TARGETS)
    assert losses == {}
    assert weighted_sum(losses, PartLossConfig()) == 0
    assert part_numbers(losses, state) == {}
    assert part_columns(SMALL) == ()


def test_losses_are_weighed_by_their_names():
    losses = {"router_balance": torch.tensor(1.0), "router_z": torch.tensor(10.0)}
    config = PartLossConfig(router_balance=0.5, router_z=0.25)
    assert float(weighted_sum(losses, config)) == 3.0


@pytest.mark.parametrize("router", ["token_choice", "expert_choice"])
def test_the_curve_shows_depths_and_agreement(router):
    config = dataclasses.replace(SMALL, recursion=RecursionConfig(router=router, max_depth=3))
    model = make_model(config).train()
    state = model.read(make_batch("UOOIOOE"))
    numbers = part_numbers(part_losses(model, state, TARGETS), state)
    assert tuple(numbers) == part_columns(config)
    shares = [numbers[f"depth_share_{depth}"] for depth in (1, 2, 3)]
    assert sum(shares) == pytest.approx(1.0)
    assert 0.0 <= numbers["router_agreement"] <= 1.0


def test_the_denoiser_is_taught_the_target_of_the_first_head():
    config = dataclasses.replace(SMALL, dropout=0.0, refine=RefiningConfig(kind="diffusion"))
    model = make_model(config)
    state = model.read(make_batch("UOE"))
    seed_global_torch(0, "levels and noise")
    losses = part_losses(model, state, TARGETS)
    seed_global_torch(0, "levels and noise")
    assert losses == {"denoising": model.denoising_loss(state, torch.tensor([[1, 2, 3]]))}
    assert tuple(part_numbers(losses, state)) == part_columns(config) == ("denoising_loss",)


def test_a_share_of_an_update_counts_by_its_tokens_and_readouts():
    config = dataclasses.replace(
        SMALL, dropout=0.0, recursion=RECURSION, refine=RefiningConfig(kind="diffusion")
    )
    model = make_model(config).train()
    state = model.read(make_batch("UOE"))
    share = Share(readouts=0.25, tokens=0.5)
    numbers = []
    for one in (WHOLE, share):
        seed_global_torch(0, "levels and noise")
        losses = part_losses(model, state, TARGETS, one)
        numbers.append(part_numbers(losses, state, one))
    for name in part_columns(config):
        factor = share.readouts if name == "denoising_loss" else share.tokens
        assert numbers[1][name] == pytest.approx(factor * numbers[0][name]), name


def trained(config, num_updates):
    """Train a small model, and give what the parts said at each update."""
    corpus = make_small_corpus()
    sequence = SequenceConfig(max_tokens=24, new_tokens=12)
    examples = build_examples(
        corpus.tables, corpus.catalog, sequence, num_heads=2, cutoff_ts=CUTOFF_TS, seed=0
    )
    source = BatchSource(examples, sequence, OptimizerConfig(), seed=0, stage="test", epochs=50)
    seed_global_torch(0, "test")
    model = GPR(config, CODEBOOK_SIZES).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    numbers = []
    for update in range(num_updates):
        loss = supervised_loss(
            model, source.at(update), ValueLossConfig(), PartLossConfig(), use_omega=False
        )
        optimizer.zero_grad()
        loss.loss.backward()
        optimizer.step()
        numbers.append(loss.parts)
    return numbers


SMALLEST = ModelConfig(
    width=8, attention_heads=2, hsd_layers=3, ptd_layers=1, num_heads=2, recursion=RECURSION
)


def test_training_uses_all_depths():
    last = trained(SMALLEST, 40)[-1]
    assert min(last["depth_share_1"], last["depth_share_2"]) > 0.1


def test_lazy_layers_bring_the_loss_of_later_codes():
    config = dataclasses.replace(SMALL, lazy_layers=1, dropout=0.0)
    model = make_model(config)
    state = model.read(make_batch("UOE"))
    targets = SimpleNamespace(**vars(TARGETS), ok_MJ=torch.tensor([[True, False]]))
    losses = part_losses(model, state, targets)
    assert list(losses) == ["lazy_code"]
    assert float(losses["lazy_code"].detach()) > 0
    assert tuple(part_numbers(losses, state)) == part_columns(config) == ("lazy_code_loss",)
