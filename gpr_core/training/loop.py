"""The update loop shared by the supervised steps.

The batch of an update is read in shares. Each is freed before the next is cut; gradients and logged
numbers of all shares, whichever process reads them, add up to those of the update.

Every random draw is a function of (seed, stage, update, share), never of what was drawn before, so
that a run that is killed and resumed ends with the same weights, bit for bit on a CPU with fixed
threads.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

from gpr_core.support.distributed import ALONE, Processes
from gpr_core.support.errors import GateError
from gpr_core.support.matmul import bfloat16_products
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.checkpointing import load_training, save_training
from gpr_core.training.config import OptimizerConfig
from gpr_core.training.schedules import rate_at

_LOGGER = logging.getLogger(__name__)

_LOOP_COLUMNS = ("update", "learning_rate", "gradient_norm", "loss")


class ShareLoss(NamedTuple):
    """Result of the forward pass of one share of an update.

    Attributes:
        loss: Scalar to minimize; the losses of all shares add up to that of the update.
        sums: Name -> float64 tensor without gradient that adds up in the same way; names and
            shapes are those of `Task.no_sums`.
        tokens: Valid tokens read, for the speed shown to people.
    """

    loss: Tensor
    sums: Mapping[str, Tensor]
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is trained, apart from how.

    Attributes:
        stage: Name of the training, part of every random stream.
        seed: Run seed.
        num_updates: Updates in all.
        num_shares: Shares of an update, over all processes.
        columns: Names of the numbers that `observe` reports.
        modules: Name -> module of the state; `model` is the one whose parameters are trained.
        parameter_groups: Groups of parameters whose gradients are clipped apart from each other.
        no_sums: Name -> zeros, what sums start from.
        loss_at: Update and share -> its loss; None if the update is too small for that share.
        observe: Called once per update with the sums over all its shares; gives numbers to log.
        after_update: Called with the update once the weights have changed.
    """

    stage: str
    seed: int
    num_updates: int
    num_shares: int
    columns: Sequence[str]
    modules: Mapping[str, nn.Module]
    parameter_groups: Sequence[Sequence[nn.Parameter]]
    no_sums: Mapping[str, Tensor]
    loss_at: Callable[[int, int], ShareLoss | None]
    observe: Callable[[Mapping[str, Tensor]], Mapping[str, float]]
    after_update: Callable[[int], None]

    @property
    def device(self) -> torch.device:
        """Where the parameters live."""
        return self.parameter_groups[0][0].device


class _Update(NamedTuple):
    """What is known of an update, the same in every process."""

    loss: float
    norm: float
    tokens: int
    numbers: Mapping[str, float]


def train(
    task: Task,
    config: OptimizerConfig,
    *,
    scratch: Path,
    progress: Progress,
    processes: Processes = ALONE,
) -> pa.Table:
    """Run all updates, resuming from the checkpoint in `scratch` if there is one.

    Args:
        task: What is trained; its modules are changed in place.
        config: Rates, clipping and checkpoints.
        scratch: Folder of the checkpoint, the same for all processes.
        progress: Where to report progress.
        processes: Who trains together; the first one writes checkpoints.

    Returns:
        The training curve: one row per update, `update` int64 and float64 columns.

    Raises:
        GateError: If a loss or gradient is not finite.
        ArtifactError: If the checkpoint is damaged, or processes start from different states.
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
    processes.check_equal("state before training", _fingerprint(task, first))
    speed = _Speed()
    for module in task.modules.values():
        module.train()
    for update in range(first, task.num_updates):
        rate = rate_at(update, task.num_updates, config)
        for group in optimizer.param_groups:
            group["lr"] = rate
        done_now = _one_update(task, optimizer, config, processes, update=update)
        numbers = [done_now.numbers[name] for name in task.columns]
        row = [update, rate, done_now.norm, done_now.loss, *numbers]
        curve[update] = torch.tensor(row, dtype=torch.float64)
        task.after_update(update)
        done = update + 1
        is_due = done % config.checkpoint_every == 0 or done == task.num_updates
        if is_due and processes.is_first:
            save_training(
                scratch, update=done, modules=task.modules, optimizer=optimizer, curve=curve[:done]
            )
        shown = {"loss": done_now.loss, "tokens_per_s": speed.after(done_now.tokens)}
        progress.update(done, task.num_updates, {**shown, **done_now.numbers})
    for module in task.modules.values():
        module.eval()
    return _curve_table(curve, names)


def _one_update(
    task: Task,
    optimizer: torch.optim.Optimizer,
    config: OptimizerConfig,
    processes: Processes,
    *,
    update: int,
) -> _Update:
    """Do forward and backward passes of all shares and one step."""
    optimizer.zero_grad(set_to_none=True)
    loss, tokens, sums = _read_shares(task, config, processes, update)
    numbers = task.observe(sums)
    processes.sum_gradients(one for group in task.parameter_groups for one in group)
    norms = [
        float(nn.utils.clip_grad_norm_(group, config.clip_norm)) for group in task.parameter_groups
    ]
    if not np.isfinite([loss, *norms]).all():
        raise GateError(
            f"update {update} has loss {loss} and gradient norms {norms}",
            where=f"training {task.stage}",
            fix="lower learning_rate, or look for extreme values in the corpus",
        )
    optimizer.step()
    return _Update(loss, max(norms), tokens, numbers)


def _read_shares(
    task: Task, config: OptimizerConfig, processes: Processes, update: int
) -> tuple[float, int, dict[str, Tensor]]:
    """Leave the gradient of this process's shares; give loss, tokens and sums of all shares."""
    total = {
        "loss": torch.zeros(1, dtype=torch.float64),
        "tokens": torch.zeros(1, dtype=torch.float64),
        **task.no_sums,
    }
    for share in processes.own(task.num_shares):
        for name, number in _read_share(task, config, update, share).items():
            total[name] = total[name] + number.cpu()
    device = task.device
    flat = torch.cat([number.flatten() for number in total.values()])
    flat = processes.sum(flat.to(device)).cpu()
    parts = torch.split(flat, [number.numel() for number in total.values()])
    named = zip(total.items(), parts, strict=True)
    sums = {name: part.view_as(number) for (name, number), part in named}
    return float(sums.pop("loss")), int(sums.pop("tokens")), sums


def _read_share(
    task: Task, config: OptimizerConfig, update: int, share: int
) -> Mapping[str, Tensor]:
    """Add the gradient of one share; nothing that needs its memory is returned."""
    seed_global_torch(task.seed, task.stage, "update", update, *([share] if share else []))
    is_fast = config.precision == "bfloat16"
    with bfloat16_products(task.device.type) if is_fast else nullcontext():
        result = task.loss_at(update, share)
    if result is None:
        return {}
    result.loss.backward()  # type: ignore[no-untyped-call]
    loss = result.loss.detach().to(torch.float64)
    return {"loss": loss, "tokens": torch.tensor(result.tokens), **result.sums}


def _fingerprint(task: Task, first: int) -> Tensor:
    """Summarize the state that training starts from: [2] float64, updates done and weights."""
    weights = torch.stack(
        [one.detach().to(torch.float64).sum() for group in task.parameter_groups for one in group]
    )
    return torch.stack([weights.new_tensor(first), weights.sum()])


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
