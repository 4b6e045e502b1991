"""Advantages of HEPO: truncated GAE for coarse levels, a z-score per request for the last (Eq 8).

All inputs are constants: callers pass detached tensors and get detached tensors back.
Shape letters: M flat candidates, L levels; index 0 is the coarsest level.
"""

import torch
from torch import Tensor

from gpr_core.support.errors import ShapeError

_STD_FLOOR = 1e-3
_CONSTANT_STD = 1e-6


def returns_to_go(reward_ML: Tensor, gamma: float) -> Tensor:
    """Sum the discounted rewards from each level to the last: G_l of the paper.

    Args:
        reward_ML: [M, L] step rewards, the terminal reward last.
        gamma: Discount per level, in [0, 1].

    Returns:
        [M, L] same dtype.

    Source:
        Paper, text before Eq 8.

    Example:
        >>> returns_to_go(torch.tensor([[1.0, 2.0, 4.0]]), 0.5).tolist()
        [[3.0, 4.0, 4.0]]
    """
    total = torch.zeros_like(reward_ML[:, 0])
    result = []
    for level in reversed(range(reward_ML.shape[1])):
        total = reward_ML[:, level] + gamma * total
        result.append(total)
    return torch.stack(result[::-1], dim=1)


def coarse_advantages(reward_ML: Tensor, value_ML: Tensor, gamma: float, lam: float) -> Tensor:
    """Generalized advantage estimates of the levels before the last.

    delta_l = r_l + gamma V(s, z_1..l) - V(s, z_<l) for l < L, summed with (gamma lambda)^k up to
    delta_{L-1}: as printed, the terminal reward reaches coarse levels only through the bootstrap
    value, which is why the critic must be trained first.

    Args:
        reward_ML: [M, L] step rewards; the last column is not used.
        value_ML: [M, L] critic values V(s, z_<l), in units of the reward.
        gamma: Discount per level.
        lam: Trade-off between bias (0) and variance (1).

    Returns:
        [M, L-1] same dtype as the rewards; no columns if L is 1.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        Paper Eq 8, first case; the bound of the sum is checked in specification 4.4.
    """
    if reward_ML.shape != value_ML.shape:
        raise ShapeError(
            f"rewards have shape {list(reward_ML.shape)}, values {list(value_ML.shape)}",
            where="coarse_advantages",
            fix="give one value per level and candidate",
        )
    delta = reward_ML[:, :-1] + gamma * value_ML[:, 1:] - value_ML[:, :-1]
    total = torch.zeros_like(reward_ML[:, 0])
    result = []
    for level in reversed(range(delta.shape[1])):
        total = delta[:, level] + gamma * lam * total
        result.append(total)
    if not result:
        return reward_ML[:, :0]
    return torch.stack(result[::-1], dim=1)


def request_z_scores(reward_M: Tensor, row_M: Tensor, eps: float, reward_std: float) -> Tensor:
    """Standardize terminal rewards among the candidates of each request.

    Args:
        reward_M: [M] terminal rewards.
        row_M: [M] int64, index of the request of each candidate, >= 0.
        eps: Added to the standard deviation.
        reward_std: Spread of rewards over all requests; a request whose own deviation is below
            1e-6 of it counts as constant.

    Returns:
        [M] same dtype; exactly 0 for a request with one candidate or with constant rewards.

    Source:
        Paper Eq 8, second case; population standard deviation, specification 4.4.

    Example:
        >>> request_z_scores(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([0, 0, 1]), 0.0, 1.0)
        tensor([-1.,  1.,  0.])
    """
    if reward_M.numel() == 0:
        return reward_M.clone()
    num_rows = int(row_M.max()) + 1
    count = torch.bincount(row_M, minlength=num_rows).clamp(min=1).to(reward_M.dtype)
    zeros = torch.zeros(num_rows, dtype=reward_M.dtype, device=reward_M.device)
    mean = zeros.index_add(0, row_M, reward_M) / count
    centered = reward_M - mean[row_M]
    std = (zeros.index_add(0, row_M, centered.square()) / count).sqrt()
    score = centered / (std[row_M] + eps)
    return torch.where(std[row_M] < _CONSTANT_STD * reward_std, torch.zeros_like(score), score)


def hepo_advantages(
    reward_ML: Tensor, value_ML: Tensor, row_M: Tensor, *, gamma: float, lam: float, eps: float
) -> Tensor:
    """Combine both cases of Eq 8 and bring the coarse levels to unit spread.

    Coarse columns are divided by their standard deviation over the batch (at least 1e-3) and not
    centered: a level whose choices all earned something keeps its sign.

    Args:
        reward_ML: [M, L] step rewards, the standardized terminal reward last.
        value_ML: [M, L] critic values V(s, z_<l), in the same units.
        row_M: [M] int64, request of each candidate.
        gamma: Discount per level.
        lam: GAE trade-off.
        eps: Added to the standard deviation of a request.

    Returns:
        [M, L] detached.

    Source:
        Paper Eq 8; scaling from specification 4.4.
    """
    reward, value = reward_ML.detach(), value_ML.detach()
    coarse = coarse_advantages(reward, value, gamma, lam)
    spread = (coarse - coarse.mean(0)).square().mean(0).sqrt().clamp(min=_STD_FLOOR)
    last = request_z_scores(reward[:, -1], row_M, eps, 1.0)
    return torch.cat([coarse / spread, last.unsqueeze(1)], dim=1)
