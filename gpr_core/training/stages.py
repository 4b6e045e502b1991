"""What the two supervised stages have in common: model, examples and batches become a `Task`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from gpr_core.models.gpr import GPR
from gpr_core.objectives.code_loss import CodeLoss
from gpr_core.training.batches import BatchSource
from gpr_core.training.config import HeadWeightConfig, PartLossConfig, ValueLossConfig
from gpr_core.training.loop import ShareLoss, Task
from gpr_core.training.matching import HeadMatcher
from gpr_core.training.supervised import (
    HeadBalance,
    curve_columns,
    curve_numbers,
    no_sums,
    supervised_loss,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Losses:
    """Parameters of the loss of a stage.

    Attributes:
        heads: How head weights move.
        value: Weights of the value losses.
        parts: Weights of the losses of switched-on parts of the model.
        matches_heads: Whether targets go to the heads that fit them best.
        use_omega: Update -> whether the batch weighs its targets by value.
    """

    heads: HeadWeightConfig
    value: ValueLossConfig
    parts: PartLossConfig
    matches_heads: bool
    use_omega: Callable[[int], bool]


def make_task(model: GPR, source: BatchSource, losses: Losses, *, stage: str, seed: int) -> Task:
    """Describe the training of a model on batches.

    Args:
        model: Changed in place.
        source: Batches.
        losses: Parameters of the loss.
        stage: Name of the training.
        seed: Run seed.

    Returns:
        What `gpr_core.training.loop.train` runs.
    """
    device = model.head_weights_J.device
    balance = HeadBalance(model.config.num_heads, losses.heads).to(device)
    matcher = None
    if losses.matches_heads:
        matcher = HeadMatcher(model.config.num_heads, losses.heads).to(device)

    def loss_at(update: int, share: int) -> ShareLoss | None:
        batch = source.share(update, share)
        if batch is None:
            return None
        loss = supervised_loss(
            model,
            batch,
            losses.value,
            losses.parts,
            use_omega=losses.use_omega(update),
            matcher=matcher,
            totals=source.totals(update),
        )
        return ShareLoss(loss.loss, loss.sums(), batch.totals().tokens)

    def observe(sums: Mapping[str, Tensor]) -> Mapping[str, float]:
        loss, sum_JL = sums["code_loss"].to(device), sums["nll_JL"].to(device, torch.float32)
        count_J = sums["count_J"].to(device, torch.int64)
        balance.observe(CodeLoss(loss, sum_JL, count_J))
        if matcher is not None:
            matcher.observe(count_J)
        return curve_numbers(sums, balance, model)

    value_parameters = list(model.hte.parameters())
    is_value = {id(parameter) for parameter in value_parameters}
    return Task(
        stage=stage,
        seed=seed,
        num_updates=source.num_updates,
        num_shares=source.num_shares,
        columns=curve_columns(model.config),
        modules={
            "model": model,
            "balance": balance,
            **({} if matcher is None else {"matcher": matcher}),
        },
        # A heavy tail of logged values must not scale down the gradient of the policy.
        parameter_groups=(
            [parameter for parameter in model.parameters() if id(parameter) not in is_value],
            value_parameters,
        ),
        no_sums=no_sums(model.config, model.num_levels),
        loss_at=loss_at,
        observe=observe,
        after_update=lambda update: balance.apply_to(model, update),
    )
