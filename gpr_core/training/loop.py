"""The update loop shared by the supervised steps.

Every random draw is a function of (seed, stage, update), never of what was drawn before, so that a
run that is killed and resumed ends with the same weights, bit for bit on a CPU with fixed threads.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from gpr_core.support.errors import GateError
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.checkpointing import load_training, save_training
from gpr_core.training.config import OptimizerConfig
from gpr_core.training.schedules import rate_at

_LOGGER = logging.getLogger(__name__)

_LOOP_COLUMNS = ("update", "learning_rate", "gradient_norm", "loss")


class UpdateLoss(NamedTuple):
    """Result of the forward pass of one update.

    Attributes:
        loss: Scalar to minimize.
        numbers: Name -> logged number; the same names at every update.
        tokens: Valid tokens read, for the speed shown to people.
    """

    loss: Tensor
    numbers: Mapping[str, float]
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is trained, apart from how.

    Attributes:
        stage: Name of the training, part of every random stream.
        seed: Run seed.
        num_updates: Updates in all.
        columns: Names of the numbers that `loss_at` reports.
        modules: Name -> module of the state; `model` is the one whose parameters are trained.
        parameter_groups: Groups of parameters whose gradients are clipped apart from each other.
        loss_at: Update -> its loss.
        after_update: Called with the update once the weights have changed.
    """

    stage: str
    seed: int
    num_updates: int
    columns: Sequence[str]
    modules: Mapping[str, nn.Module]
    parameter_groups: Sequence[Sequence[nn.Parameter]]
    loss_at: Callable[[int], UpdateLoss]
    after_update: Callable[[int], None]


def train(task: Task, config: OptimizerConfig, *, scratch: Path, progress: Progress) -> pa.Table:
    """Run all updates, resuming from the checkpoint in `scratch` if there is one.

    Args:
        task: What is trained; its modules are changed in place.
        config: Rates, clipping and checkpoints.
        scratch: Folder of the checkpoint.
        progress: Where to report progress.

    Returns:
        The training curve: one row per update, `update` int64 and float64 columns.

    Raises:
        GateError: If a loss or gradient is not finite.
        ArtifactError: If the checkpoint is damaged.
    """
    optimizer = _make_optimizer(task.parameter_groups, config)
    names = (*_LOOP_COLUMNS, *task.columns)
    curve = torch.zeros(task.num_updates, len(names), dtype=torch.float64)
    first = 0
    resumed = load_training(scratch, modules=task.modules, optimizer=optimizer)
    if resumed is not None:
        first, rows = resumed
        curve[:first] = rows
        _LOGGER.info("%s  resumed after update %d of %d", task.stage, first, task.num_updates)
    speed = _Speed()
    for module in task.modules.values():
        module.train()
    for update in range(first, task.num_updates):
        rate = rate_at(update, task.num_updates, config)
        result, norm = _one_update(task, optimizer, config, update=update, rate=rate)
        loss = float(result.loss.detach())
        numbers = [float(result.numbers[name]) for name in task.columns]
        curve[update] = torch.tensor([update, rate, norm, loss, *numbers], dtype=torch.float64)
        task.after_update(update)
        done = update + 1
        if done % config.checkpoint_every == 0 or done == task.num_updates:
            save_training(
                scratch, update=done, modules=task.modules, optimizer=optimizer, curve=curve[:done]
            )
        shown = {"loss": loss, "tokens_per_s": speed.after(result.tokens)}
        progress.update(done, task.num_updates, {**shown, **result.numbers})
    for module in task.modules.values():
        module.eval()
    return _curve_table(curve, names)


def _one_update(
    task: Task,
    optimizer: torch.optim.Optimizer,
    config: OptimizerConfig,
    *,
    update: int,
    rate: float,
) -> tuple[UpdateLoss, float]:
    """Do one forward pass, backward pass and step; give the loss and the largest norm."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    seed_global_torch(task.seed, task.stage, "update", update)
    result = task.loss_at(update)
    optimizer.zero_grad(set_to_none=True)
    result.loss.backward()  # type: ignore[no-untyped-call]
    norms = [
        float(nn.utils.clip_grad_norm_(group, config.clip_norm)) for group in task.parameter_groups
    ]
    loss = float(result.loss.detach())
    if not np.isfinite([loss, *norms]).all():
        raise GateError(
            f"update {update} has loss {loss} and gradient norms {norms}",
            where=f"training {task.stage}",
            fix="lower learning_rate, or look for extreme values in the corpus",
        )
    optimizer.step()
    return result, max(norms)


def _make_optimizer(
    parameter_groups: Sequence[Sequence[nn.Parameter]], config: OptimizerConfig
) -> torch.optim.Optimizer:
    """Make AdamW that decays matrices only."""
    parameters = [parameter for group in parameter_groups for parameter in group]
    matrices = [parameter for parameter in parameters if parameter.ndim >= 2]
    vectors = [parameter for parameter in parameters if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


class _Speed:
    """Tokens per second since the start."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._tokens = 0

    def after(self, tokens: int) -> float:
        """Count tokens and give the mean speed so far."""
        self._tokens += tokens
        return self._tokens / max(time.monotonic() - self._start, 1e-9)


def _curve_table(curve: Tensor, names: Sequence[str]) -> pa.Table:
    """Turn the logged numbers into a table."""
    columns = {name: pa.array(curve[:, idx].numpy()) for idx, name in enumerate(names)}
    columns["update"] = columns["update"].cast(pa.int64())
    return pa.table(columns)
