"""What the two supervised stages have in common: model, examples and batches become a `Task`."""

from collections.abc import Callable
from dataclasses import dataclass

from gpr_core.data.tables import TokenKind
from gpr_core.models.gpr import GPR
from gpr_core.training.batches import BatchSource
from gpr_core.training.config import HeadWeightConfig, PartLossConfig, ValueLossConfig
from gpr_core.training.loop import Task, UpdateLoss
from gpr_core.training.matching import HeadMatcher
from gpr_core.training.supervised import (
    HeadBalance,
    curve_columns,
    curve_numbers,
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
    balance = HeadBalance(model.config.num_heads, losses.heads).to(model.head_weights_J.device)
    matcher = None
    if losses.matches_heads:
        matcher = HeadMatcher(model.config.num_heads, losses.heads).to(model.head_weights_J.device)

    def loss_at(update: int) -> UpdateLoss:
        batch = source.at(update)
        loss = supervised_loss(
            model,
            batch,
            losses.value,
            losses.parts,
            use_omega=losses.use_omega(update),
            matcher=matcher,
        )
        balance.observe(loss.code)
        tokens = int((batch.timeline.kind_BT != TokenKind.PAD).sum())
        return UpdateLoss(loss.loss, curve_numbers(loss, balance, model), tokens)

    value_parameters = list(model.hte.parameters())
    is_value = {id(parameter) for parameter in value_parameters}
    return Task(
        stage=stage,
        seed=seed,
        num_updates=source.num_updates,
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
        loss_at=loss_at,
        after_update=lambda update: balance.apply_to(model, update),
    )
