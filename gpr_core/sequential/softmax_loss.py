"""Cross-entropy over all items without keeping the scores of all items.

Letters: M rows, A items, R rows of a chunk, D width.
"""

from typing import Any

import torch
from torch import Tensor

# A chunk of scores should stay in the cache between the product and its use.
_CHUNK_SCORES = 1 << 22


def softmax_loss(state_MD: Tensor, item_AD: Tensor, target_M: Tensor) -> Tensor:
    """Compute the mean of -log softmax(state item)[target].

    Scores and their gradient are made chunk by chunk in the forward pass, so memory does not grow
    with M A, and every score is computed once.

    Args:
        state_MD: [M, D] float, M >= 1.
        item_AD: [A, D] float.
        target_M: [M] int64, 0 <= target < A.

    Returns:
        [] float.
    """
    loss: Tensor = _SoftmaxLoss.apply(state_MD, item_AD, target_M)  # type: ignore[no-untyped-call]
    return loss


class _SoftmaxLoss(torch.autograd.Function):
    """The loss with both gradients, which need no other pass over the scores."""

    @staticmethod
    def forward(ctx: Any, state_MD: Tensor, item_AD: Tensor, target_M: Tensor) -> Tensor:
        """Returns the mean loss []."""
        rows = len(state_MD)
        of_state_MD, of_item_AD = torch.empty_like(state_MD), torch.zeros_like(item_AD)
        total = state_MD.new_zeros(())
        step = max(1, _CHUNK_SCORES // len(item_AD))
        for first in range(0, rows, step):
            part = slice(first, first + step)
            state_RD, target_R1 = state_MD[part], target_M[part, None]
            score_RA = state_RD @ item_AD.T
            target_score_R1 = score_RA.gather(1, target_R1)
            largest_R1 = score_RA.amax(1, keepdim=True)
            sum_R1 = score_RA.sub_(largest_R1).exp_().sum(1, keepdim=True)
            total += (sum_R1.log() + largest_R1 - target_score_R1).sum()
            # From exp(score) to the gradient of the mean: (softmax - [target]) / M.
            score_RA.div_(sum_R1 * rows)
            score_RA.scatter_add_(1, target_R1, torch.full_like(target_score_R1, -1 / rows))
            torch.mm(score_RA, item_AD, out=of_state_MD[part])
            of_item_AD.addmm_(score_RA.T, state_RD)
        ctx.save_for_backward(of_state_MD, of_item_AD)
        return total / rows

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        """Returns the gradients of states and items."""
        of_state_MD, of_item_AD = ctx.saved_tensors
        return of_state_MD * grad, of_item_AD * grad, None
