"""The clipped policy objective of HEPO (Eq 9) and the divergence that bounds it.

Shape letters: M flat candidates, L levels; index 0 is the coarsest level.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from gpr_core.support.errors import ShapeError


class PolicyLoss(NamedTuple):
    """Loss of one batch and what to watch beside it.

    Attributes:
        loss: Scalar to minimize.
        kl: Scalar, mean k3 estimate of the divergence from the behavior policy, per choice.
        clip_share: Scalar, share of ratios outside the clip interval.
    """

    loss: Tensor
    kl: Tensor
    clip_share: Tensor


def clipped_surrogate(
    logp_ML: Tensor, behavior_logp_ML: Tensor, advantage_ML: Tensor, clip: float
) -> Tensor:
    """Compute min(rho A, clip(rho) A) of each candidate and level; larger is better.

    Args:
        logp_ML: [M, L] log-probabilities under the policy being trained.
        behavior_logp_ML: [M, L] log-probabilities recorded at rollout.
        advantage_ML: [M, L] detached advantages.
        clip: Half-width of the trust interval around ratio 1.

    Returns:
        [M, L] surrogate, differentiable in `logp_ML`.

    Raises:
        ShapeError: If the shapes differ, or the advantage carries a gradient.

    Source:
        Paper Eq 9.
    """
    if not logp_ML.shape == behavior_logp_ML.shape == advantage_ML.shape:
        raise ShapeError(
            f"logp {list(logp_ML.shape)}, behavior logp {list(behavior_logp_ML.shape)} and "
            f"advantage {list(advantage_ML.shape)} differ",
            where="clipped_surrogate",
            fix="give one number per candidate and level",
        )
    if advantage_ML.requires_grad or behavior_logp_ML.requires_grad:
        raise ShapeError(
            "advantages and behavior log-probabilities must be constants",
            where="clipped_surrogate",
            fix="detach them: only the ratio may carry a gradient",
        )
    ratio = (logp_ML - behavior_logp_ML).exp()
    clipped = ratio.clamp(1.0 - clip, 1.0 + clip)
    return torch.minimum(ratio * advantage_ML, clipped * advantage_ML)


def node_mean(value_M: Tensor, group_M: Tensor) -> Tensor:
    """Average within groups, then over groups, so that a wide subtree weighs as one choice.

    Args:
        value_M: [M] numbers.
        group_M: [M] int64, which choice (request, head, trie node) each belongs to.

    Returns:
        Scalar.

    Example:
        >>> node_mean(torch.tensor([1.0, 3.0, 6.0]), torch.tensor([7, 7, 9])).item()
        4.0
    """
    _, inverse, count = torch.unique(group_M, return_inverse=True, return_counts=True)
    zeros = torch.zeros(len(count), dtype=value_M.dtype, device=value_M.device)
    mean: Tensor = (zeros.index_add(0, inverse, value_M) / count).mean()
    return mean


def k3_divergence(logp: Tensor, other_logp: Tensor) -> Tensor:
    """Estimate KL(policy || other) from sampled choices: exp(d) - d - 1 with d = other - policy.

    Args:
        logp: [...] log-probabilities under the policy.
        other_logp: [...] log-probabilities of the same choices under the other policy.

    Returns:
        [...] non-negative estimates, 0 where the two agree.

    Source:
        Specification 4.5 (the k3 estimator of Schulman).
    """
    difference = other_logp - logp
    estimate: Tensor = difference.exp() - difference - 1.0
    return estimate


def policy_loss(
    logp_ML: Tensor,
    behavior_logp_ML: Tensor,
    advantage_ML: Tensor,
    group_ML: Tensor,
    *,
    clip: float,
    reference_logp_ML: Tensor,
    kl_weight: float,
) -> PolicyLoss:
    """Combine the clipped surrogate of all levels with a penalty for leaving the reference.

    The paper prints the surrogate under "minimizing"; it is an expression to maximize, so its
    negative is minimized here. Every level weighs 1/L. Coarse levels are averaged per distinct
    choice, the last level per candidate (`group_ML` holds both).

    Args:
        logp_ML: [M, L] log-probabilities under the policy being trained.
        behavior_logp_ML: [M, L] log-probabilities recorded at rollout.
        advantage_ML: [M, L] detached advantages.
        group_ML: [M, L] int64, distinct choice of each candidate and level.
        clip: Half-width of the trust interval.
        reference_logp_ML: [M, L] log-probabilities under the frozen starting policy.
        kl_weight: Weight of the divergence from the reference.

    Returns:
        The loss and its diagnostics.

    Source:
        Paper Eq 9; sign, node averaging and penalty from specification 4.5.
    """
    surrogate = clipped_surrogate(logp_ML, behavior_logp_ML, advantage_ML, clip)
    per_level = [
        node_mean(surrogate[:, level], group_ML[:, level]) for level in range(surrogate.shape[1])
    ]
    penalty = k3_divergence(logp_ML, reference_logp_ML).mean()
    ratio = (logp_ML - behavior_logp_ML).detach().exp()
    return PolicyLoss(
        loss=kl_weight * penalty - torch.stack(per_level).mean(),
        kl=k3_divergence(logp_ML, behavior_logp_ML).detach().mean(),
        clip_share=((ratio - 1.0).abs() > clip).to(ratio.dtype).mean(),
    )
