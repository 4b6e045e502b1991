"""Targets by matching: which head predicts which of the ads that follow.

The targets of a request are a set; each goes to the head that already fits it best, all heads
together at the least cost, so that no order of time is forced on the heads. A head that gets more
than its share pays for it, lest one head take everything.

Letters: M flat rows (readouts), J heads, K targets (as many as heads), L levels, V codes.

Source: specification 3.7 (`matching`).
"""

import numpy as np
import torch
from torch import Tensor, nn

from gpr_core.models.gpr import GPR
from gpr_core.models.states import ReadoutState
from gpr_core.objectives.code_loss import path_logp
from gpr_core.training.batches import TrainBatch
from gpr_core.training.config import HeadWeightConfig


class HeadMatcher(nn.Module):
    """Assigns targets to heads, and remembers how many each head got.

    Args:
        num_heads: Heads J.
        config: Decay of the memory and strength of the balance.
    """

    use_J: Tensor

    def __init__(self, num_heads: int, config: HeadWeightConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("use_J", torch.full((num_heads,), 1.0 / num_heads))

    @torch.no_grad()
    def match(self, model: GPR, state: ReadoutState, batch: TrainBatch) -> TrainBatch:
        """Give every target of a batch to a head, at the prices of the updates before.

        Args:
            model: Its heads are compared.
            state: What it read from the batch.
            batch: Targets in order of time.

        Returns:
            The batch with paths, legal sets and weights in the order of the heads. What describes
            the exposed ad apart from its path stays.
        """
        cost_MJK = target_costs(model, state, batch)
        price_J = self.config.match_balance * torch.log(len(self.use_J) * self.use_J)
        cost_MJK = cost_MJK + torch.where(batch.ok_MJ[:, None, :], price_J[:, None], 0.0)
        order_MJ = assign(cost_MJK)
        return batch._replace(
            path_MJL=_in_order(batch.path_MJL, order_MJ),
            ok_MJ=batch.ok_MJ.gather(1, order_MJ),
            legal=tuple(_in_order(mask_MJV, order_MJ) for mask_MJV in batch.legal),
            omega_MJ=batch.omega_MJ.gather(1, order_MJ),
        )

    def observe(self, count_J: Tensor) -> None:
        """Remember how the targets of a whole update were spread.

        Args:
            count_J: [J] int64, targets of each head.
        """
        share_J = count_J / count_J.sum().clamp(min=1)
        self.use_J.lerp_(share_J.clamp(min=1e-3), 1 - self.config.ema_decay)


@torch.no_grad()
def target_costs(model: GPR, state: ReadoutState, batch: TrainBatch) -> Tensor:
    """Loss of every head on every target.

    Args:
        model: Its heads are compared.
        state: What it read from the batch.
        batch: Targets.

    Returns:
        [M, J, K] float, nats per path; 0 where there is no target.
    """
    heads = batch.ok_MJ.shape[1]
    head_J = torch.arange(heads, device=batch.ok_MJ.device)
    cost_MJK = batch.omega_MJ.new_zeros(*batch.ok_MJ.shape, heads)
    for shift in range(heads):
        target_J = (head_J + shift) % heads
        path_MJL, ok_MJ = batch.path_MJL[:, target_J], batch.ok_MJ[:, target_J]
        legal = tuple(mask_MJV[:, target_J] for mask_MJV in batch.legal)
        logp_MJL = path_logp(model.path_logits(state, path_MJL), path_MJL, legal, ok_MJ)
        cost_MJK[:, head_J, target_J] = torch.where(ok_MJ, -logp_MJL.sum(dim=-1), 0.0)
    return cost_MJK


def assign(cost_MJK: Tensor) -> Tensor:
    """Choose one target per head at the least total cost of each row.

    Args:
        cost_MJK: [M, J, K] float, K = J.

    Returns:
        [M, J] int64, target of each head.

    Example:
        >>> assign(torch.tensor([[[1.0, 5.0], [2.0, 9.0]]])).tolist()
        [[1, 0]]
    """
    # Other kinds of targets do not wait for this import.
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415

    rows = [linear_sum_assignment(cost_JK)[1] for cost_JK in cost_MJK.cpu().numpy()]
    order_MJ = torch.from_numpy(np.stack(rows).astype(np.int64))
    return order_MJ.to(cost_MJK.device)


def _in_order(part_MKX: Tensor, order_MJ: Tensor) -> Tensor:
    """Take the target of each head along the second axis."""
    index_MJX = order_MJ[..., None].expand(-1, -1, part_MKX.shape[2])
    return part_MKX.gather(1, index_MJX)
