"""The critic: values of prefixes, fitted to returns before the policy moves.

Its inputs are the model's detached states, so that fitting it never reaches HSD or PTD. The states
of a batch of rollouts are computed once; a pass is then a small network over flat rows.
Letters: B requests, M flat candidates, L levels, X inputs of the evaluator.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gpr_core.models.gpr import GPR
from gpr_core.objectives.critic_loss import critic_loss, explained_share
from gpr_core.support.seeding import torch_stream
from gpr_core.training.hepo_config import CriticConfig

_SMALLEST_STD = 1e-6


class CriticRows(NamedTuple):
    """What the critic is fitted to or measured on.

    Attributes:
        value_state_BX: [B, 3 * D] detached states of the requests.
        row_M: [M] int64, request of each candidate.
        path_ML: [M, L] int64 codes.
        return_ML: [M, L] float32 returns G_l, standardized.
    """

    value_state_BX: Tensor
    row_M: Tensor
    path_ML: Tensor
    return_ML: Tensor


class CriticFit(NamedTuple):
    """How a warm-up went.

    Attributes:
        r2_before: Held-out R2 before it.
        r2: Held-out R2 of the kept weights.
        epochs: Passes that were made.
    """

    r2_before: float
    r2: float
    epochs: int


def candidate_values(model: GPR, value_state_BX: Tensor, row_M: Tensor, path_ML: Tensor) -> Tensor:
    """Value every proper prefix of candidates.

    Args:
        model: Its prefix values are used.
        value_state_BX: [B, 3 * D] detached states.
        row_M: [M] int64, request of each candidate.
        path_ML: [M, L] int64 codes.

    Returns:
        [M, L] V(s, z_<l) for l = 1..L, standardized.
    """
    values = [
        model.hte.prefix_values(value_state_BX, row_M, path_ML[:, :length])
        for length in range(path_ML.shape[1])
    ]
    return torch.stack(values, dim=1)


def rescale_values(model: GPR, mean: float, std: float) -> None:
    """Move the units of the values without changing what they predict in eCPM units.

    Args:
        model: `value_mean`, `value_std` and the last layer of the critic are changed in place.
        mean: New mean of final values.
        std: New standard deviation; floored at 1e-6.
    """
    std = max(std, _SMALLEST_STD)
    with torch.no_grad():
        out = model.hte.value_out
        out.bias.copy_((out.bias * model.value_std + model.value_mean - mean) / std)
        out.weight.mul_(model.value_std / std)
        model.value_mean.fill_(mean)
        model.value_std.fill_(std)


def held_out_r2(model: GPR, rows: CriticRows) -> float:
    """Measure the critic.

    Args:
        model: The model.
        rows: Rows it was not fitted on.

    Returns:
        Share of the variance of returns that it explains, pooled over levels.
    """
    with torch.no_grad():
        values = candidate_values(model, rows.value_state_BX, rows.row_M, rows.path_ML)
    return explained_share(values, rows.return_ML)


def warm_up_critic(
    model: GPR,
    optimizer: torch.optim.Optimizer,
    train: CriticRows,
    held_out: CriticRows,
    config: CriticConfig,
    *,
    clip_norm: float,
    stream: tuple[int, str, int],
) -> CriticFit:
    """Fit the critic until its held-out R2 stops rising, and keep the best weights.

    The candidates of a policy are worth less or more than the logged ads that the critic has seen,
    so its mean error is taken out in closed form before the first pass.

    Args:
        model: Its value network is changed in place, nothing else.
        optimizer: Optimizer whose groups hold the value network; parameters without gradient are
            left alone.
        train: Rows to fit.
        held_out: Rows to measure.
        config: Parameters.
        clip_norm: Largest gradient norm.
        stream: (seed, purpose, iteration) of the shuffling.

    Returns:
        R2 before anything was changed, and of the kept weights.
    """
    parameters = value_parameters(model)
    r2_before = held_out_r2(model, held_out)
    _center(model, train)
    best_r2 = held_out_r2(model, held_out)
    best = [parameter.detach().clone() for parameter in parameters]
    waited, epoch = 0, 0
    while epoch < config.warmup_epochs and waited < config.patience:
        order_M = torch.randperm(
            train.row_M.numel(), generator=torch_stream(*stream, "critic order", epoch)
        ).to(train.row_M.device)
        for chosen in torch.split(order_M, config.batch_candidates):
            values = candidate_values(
                model, train.value_state_BX, train.row_M[chosen], train.path_ML[chosen]
            )
            optimizer.zero_grad(set_to_none=True)
            critic_loss(values, train.return_ML[chosen]).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
            optimizer.step()
        epoch, waited = epoch + 1, waited + 1
        r2 = held_out_r2(model, held_out)
        if r2 > best_r2:
            best_r2, waited = r2, 0
            best = [parameter.detach().clone() for parameter in parameters]
    optimizer.zero_grad(set_to_none=True)
    with torch.no_grad():
        for parameter, kept in zip(parameters, best, strict=True):
            parameter.copy_(kept)
    return CriticFit(r2_before, best_r2, epoch)


def _center(model: GPR, rows: CriticRows) -> None:
    """Take the mean error on some rows out of the last bias."""
    with torch.no_grad():
        values = candidate_values(model, rows.value_state_BX, rows.row_M, rows.path_ML)
        model.hte.value_out.bias.add_((rows.return_ML - values).mean())


def value_parameters(model: GPR) -> list[torch.nn.Parameter]:
    """List the parameters of the critic: the value network of the evaluator.

    Args:
        model: The model.

    Returns:
        Parameters in the model's order; the item heads and their shared norm are not among them.
    """
    return [p for name, p in model.hte.named_parameters() if name.startswith("value_")]
