"""One round of HEPO after its rollouts: passes over the shard, trust region, interpolation.

Letters: B requests, M flat candidates, L levels.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gpr_core.generation.path_logp import path_log_probs
from gpr_core.models.gpr import GPR
from gpr_core.models.states import ReadoutState
from gpr_core.objectives.critic_loss import critic_loss
from gpr_core.objectives.policy_loss import PolicyLoss, k3_divergence, policy_loss
from gpr_core.simulation.as_of_counts import Ints
from gpr_core.simulation.rollout import Simulator
from gpr_core.support.errors import GateError
from gpr_core.support.progress import Progress
from gpr_core.support.ranges import expand_ranges
from gpr_core.support.seeding import numpy_stream
from gpr_core.training.critic import candidate_values, value_parameters
from gpr_core.training.hepo_config import HepoConfig
from gpr_core.training.hepo_shard import Shard

CodeLossAt = Callable[[GPR, int], Tensor]

_CHUNK_REQUESTS = 64
_WATCHED_BATCHES = 8


class Passed(NamedTuple):
    """What one pass over a shard showed.

    Attributes:
        loss: Mean loss.
        kl: Mean divergence from the behavior policy over the last batches, nats per choice.
        clip_share: Mean share of clipped ratios over the last batches.
        updates: Updates that were made.
        stopped: Whether the trust region ended the pass.
    """

    loss: float
    kl: float
    clip_share: float
    updates: int
    stopped: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Round:
    """Everything that stays the same during the passes of a round.

    Attributes:
        model: Policy and critic; changed in place.
        optimizer: Groups of policy and critic.
        simulator: Gives what can be read and what is legal.
        shard: Candidates of the behavior policy.
        advantage_ML: [M, L] float32 constants.
        return_ML: [M, L] float32 constants.
        reference_logp_ML: [M, L] float32, log-probabilities under the starting policy.
        code_loss: (model, update) -> value-aware code loss.
        config: Parameters.
        seed: Run seed.
        iteration: 0-based round.
        progress: Where to report progress.
    """

    model: GPR
    optimizer: torch.optim.Optimizer
    simulator: Simulator
    shard: Shard
    advantage_ML: Tensor
    return_ML: Tensor
    reference_logp_ML: Tensor
    code_loss: CodeLossAt
    config: HepoConfig
    seed: int
    iteration: int
    progress: Progress


class _Batch(NamedTuple):
    """Candidates of a few whole requests."""

    row_B: Ints
    chosen_m: Tensor
    owner_m: Tensor


def candidates_of(shard: Shard, requests_B: Ints) -> tuple[Tensor, Tensor]:
    """Gather the candidates of requests.

    Args:
        shard: Candidates.
        requests_B: [B] int64 indices into `shard.row_B`.

    Returns:
        (candidate indices [m] int64, position in `requests_B` of each [m] int64).
    """
    owner, chosen = expand_ranges(shard.begin_B1[requests_B], shard.begin_B1[requests_B + 1])
    return torch.from_numpy(chosen), torch.from_numpy(owner)


def shard_logp(model: GPR, simulator: Simulator, shard: Shard) -> Tensor:
    """Recompute the log-probabilities of all candidates of a shard.

    Args:
        model: Policy in evaluation mode.
        simulator: Gives what can be read and what is legal.
        shard: Candidates.

    Returns:
        [M, L] float32 without gradient.
    """
    parts = [torch.zeros((0, shard.path_ML.shape[1]))]
    with torch.no_grad():
        for start in range(0, shard.row_B.size, _CHUNK_REQUESTS):
            requests_B = np.arange(start, min(start + _CHUNK_REQUESTS, shard.row_B.size))
            batch = _cut(shard, requests_B)
            parts.append(_forward(model, simulator, shard, batch)[0].cpu())
    return torch.cat(parts)


def divergence(model: GPR, simulator: Simulator, shard: Shard) -> float:
    """Estimate how far a policy has moved from the one that made a shard.

    Args:
        model: Policy in evaluation mode.
        simulator: Gives what can be read and what is legal.
        shard: Candidates of the behavior policy, best of requests that no loss has seen.

    Returns:
        Mean k3 estimate per choice (candidate and level), nats.
    """
    logp_ML = shard_logp(model, simulator, shard)
    return float(k3_divergence(logp_ML, shard.logp_ML).mean())


def improve(found: Round, epoch: int) -> Passed:
    """Make one pass over the shard in batches of whole requests.

    Args:
        found: The round.
        epoch: 0-based pass of the round.

    Returns:
        What the pass showed; it ends early when the trust region is left.

    Raises:
        GateError: If a loss is not finite.
    """
    config, shard = found.config, found.shard
    stream = numpy_stream(found.seed, "hepo order", found.iteration, epoch)
    order_B = stream.permutation(shard.row_B.size)
    batches = [
        order_B[start : start + config.batch_requests]
        for start in range(0, order_B.size, config.batch_requests)
    ]
    first_update = (found.iteration * config.epochs + epoch) * len(batches)
    watched: deque[tuple[float, float]] = deque(maxlen=_WATCHED_BATCHES)
    losses: list[float] = []
    for idx, requests_B in enumerate(batches):
        policy = _accumulate(found, _cut(shard, np.sort(requests_B)), first_update + idx)
        watched.append((float(policy.kl), float(policy.clip_share)))
        kl, clip_share = np.mean(watched, axis=0).tolist()
        if kl > config.kl_cap or clip_share > config.max_clip_share:
            found.optimizer.zero_grad(set_to_none=True)
            return Passed(_mean(losses), kl, clip_share, idx, stopped=True)
        _step(found)
        losses.append(float(policy.loss.detach()))
        found.progress.update(idx + 1, len(batches), {"hepo/loss": losses[-1], "hepo/kl": kl})
    kl, clip_share = np.mean(watched, axis=0).tolist()
    return Passed(_mean(losses), kl, clip_share, len(batches), stopped=False)


def move_between(model: GPR, behavior: GPR, share: float) -> None:
    """Set the policy to a point on the line from the behavior policy to itself.

    Args:
        model: Changed in place; its value heads stay.
        behavior: Where the line starts.
        share: 0 is the behavior policy, 1 the model as it is.
    """
    with torch.no_grad():
        pairs = zip(policy_parameters(model), policy_parameters(behavior), strict=True)
        for parameter, start in pairs:
            parameter.copy_(torch.lerp(start, parameter, share))


def policy_parameters(model: GPR) -> list[nn.Parameter]:
    """List the parameters of the policy: everything but the value heads.

    Args:
        model: The model.

    Returns:
        Parameters in the model's order.
    """
    return [p for name, p in model.named_parameters() if not name.startswith("hte.")]


def _cut(shard: Shard, requests_B: Ints) -> _Batch:
    """Take the candidates of some requests."""
    chosen, owner = candidates_of(shard, requests_B)
    return _Batch(shard.row_B[requests_B], chosen, owner)


def _forward(
    model: GPR, simulator: Simulator, shard: Shard, batch: _Batch
) -> tuple[Tensor, ReadoutState]:
    """Log-probabilities [m, L] of a batch under a policy, and what it read."""
    device = simulator.device
    state = model.read(simulator.read(batch.row_B))
    found = path_log_probs(
        model,
        state,
        simulator.trie,
        simulator.decode_requests(batch.row_B).eligible,
        batch.owner_m.to(device),
        shard.head_M[batch.chosen_m].to(device),
        shard.path_ML[batch.chosen_m].to(device),
    )
    return found.logp_ML, state


def _accumulate(found: Round, batch: _Batch, update: int) -> PolicyLoss:
    """Compute all gradients of one batch: policy, code loss, critic."""
    config, shard, device = found.config, found.shard, found.simulator.device
    chosen = batch.chosen_m
    logp_ML, state = _forward(found.model, found.simulator, shard, batch)
    policy = policy_loss(
        logp_ML,
        shard.logp_ML[chosen].to(device),
        found.advantage_ML[chosen].to(device),
        shard.choice_ML[chosen].to(device),
        clip=config.clip,
        reference_logp_ML=found.reference_logp_ML[chosen].to(device),
        kl_weight=config.kl_weight,
    )
    value_ML = candidate_values(
        found.model,
        state.value_state_MX,
        batch.owner_m.to(device),
        shard.path_ML[chosen].to(device),
    )
    loss = policy.loss + critic_loss(value_ML, found.return_ML[chosen].to(device))
    if config.vaft_weight > 0:
        loss = loss + config.vaft_weight * found.code_loss(found.model, update)
    if not bool(torch.isfinite(loss)):
        raise GateError(
            f"the loss of update {update} is {loss.item()}",
            where=f"hepo round {found.iteration}",
            fix="lower learning_rate, or look for rewards that are not finite",
        )
    found.optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    return policy


def _step(found: Round) -> None:
    """Clip the gradients of policy and critic apart from each other, and update both."""
    for parameters in (policy_parameters(found.model), value_parameters(found.model)):
        torch.nn.utils.clip_grad_norm_(parameters, found.config.clip_norm)
    found.optimizer.step()


def _mean(values: list[float]) -> float:
    """Mean, 0 for none."""
    return float(np.mean(values)) if values else 0.0
