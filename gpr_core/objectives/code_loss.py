"""Negative log-likelihood of target code paths over legal codes (Eq 3, and Eq 4 with weights).

Letters: M flat rows (readouts), J heads, L levels, V codes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gpr_core.objectives.masked_softmax import masked_log_softmax
from gpr_core.support.errors import LegalityError, ShapeError
from gpr_core.support.shapes import check_shape


class CodeLoss(NamedTuple):
    """Loss of a batch and what it consists of.

    Attributes:
        loss: Scalar to minimize.
        sum_JL: [J, L] float without gradient, unweighted sum of the losses of each head and level.
        count_J: [J] int64, targets of each head.
    """

    loss: Tensor
    sum_JL: Tensor
    count_J: Tensor

    @property
    def nll_JL(self) -> Tensor:  # noqa: N802 - named like the fields
        """[J, L] float, mean loss of each head and level; 0 for a head without targets."""
        return self.sum_JL / self.count_J.clamp(min=1)[:, None]

    @property
    def nll_J(self) -> Tensor:  # noqa: N802 - named like the fields
        """[J] float, mean loss per code of each head."""
        return self.nll_JL.mean(dim=1)


def path_logp(
    logits: Sequence[Tensor], paths_MJL: Tensor, legal: Sequence[Tensor], ok_MJ: Tensor
) -> Tensor:
    """Log-probability of each code of target paths, over the legal codes only.

    Args:
        logits: L tensors [M, J, V_l] float.
        paths_MJL: [M, J, L] int64, target paths; ignored where `ok_MJ` is False.
        legal: L tensors [M, J, V_l] bool, legal children of the target prefix. They must come from
            the catalog and the request alone: a target that is not legal is an error, never added.
        ok_MJ: [M, J] bool, True where the head has a target.

    Returns:
        [M, J, L] float, 0 where there is no target.

    Raises:
        ShapeError: If the shapes do not fit together.
        LegalityError: If a target is not legal.
    """
    rows, heads, levels = paths_MJL.shape
    check_shape("ok_MJ", ok_MJ, (rows, heads))
    if not len(logits) == len(legal) == levels:
        raise ShapeError(
            f"found {len(logits)} logits and {len(legal)} legal sets for {levels} levels",
            where="path_logp",
            fix="pass one tensor per level",
        )
    parts = []
    for level in range(levels):
        check_shape("logits", logits[level], (rows, heads, None))
        target_MJ1 = paths_MJL[:, :, level, None].masked_fill(~ok_MJ[..., None], 0)
        is_legal_MJ = legal[level].gather(-1, target_MJ1)[..., 0]
        _refuse_illegal(ok_MJ & ~is_legal_MJ, level)
        logp_MJV = masked_log_softmax(logits[level], legal[level])
        parts.append(torch.where(ok_MJ, logp_MJV.gather(-1, target_MJ1)[..., 0], 0.0))
    return torch.stack(parts, dim=-1)


def code_loss(
    logp_MJL: Tensor,
    ok_MJ: Tensor,
    head_weights_J: Tensor,
    value_weights_MJ: Tensor | None = None,
    total: Tensor | None = None,
) -> CodeLoss:
    """Weighted loss of a batch of target paths.

        loss = - 1 / (L W) sum_mj w_j omega_mj ok_mj sum_l logp_mjl

    W counts readouts whose first head has a target (or sums their omega). Weights of absent heads
    are not handed to the others, else users with a single interest would dominate.

    Args:
        logp_MJL: [M, J, L] float, from `path_logp`.
        ok_MJ: [M, J] bool, True where the head has a target.
        head_weights_J: [J] float, weights on the simplex; no gradient.
        value_weights_MJ: [M, J] float, business weight omega of each target, None for 1.
        total: Scalar W of the batch that these rows are a share of, so that the losses of its
            shares add up to its loss; None if they are all of it.

    Returns:
        Loss, and the unweighted loss of each head and level.

    Raises:
        ShapeError: If the shapes differ or no readout has a target for its first head.

    Source:
        Paper Eq 3 and Eq 4, normalized as in specification 4.1 and 4.2.
    """
    rows, heads, levels = logp_MJL.shape
    check_shape("ok_MJ", ok_MJ, (rows, heads))
    check_shape("head_weights_J", head_weights_J, (heads,))
    omega_MJ = ok_MJ.to(logp_MJL.dtype)
    if value_weights_MJ is not None:
        check_shape("value_weights_MJ", value_weights_MJ, (rows, heads))
        omega_MJ = torch.where(ok_MJ, value_weights_MJ.detach(), 0.0)
    if total is None:
        total = omega_MJ[:, 0].sum()
    if not bool(total > 0):
        raise ShapeError(
            "no readout of the batch has a weighted target for head 1, expected at least one",
            where="code_loss",
            fix="leave readouts without an exposed ad out of training batches",
        )
    weight_MJ = omega_MJ * head_weights_J.detach()
    loss = -(weight_MJ * logp_MJL.sum(dim=-1)).sum() / (levels * total)
    return CodeLoss(loss, -logp_MJL.detach().sum(dim=0), ok_MJ.sum(dim=0))


def _refuse_illegal(illegal_MJ: Tensor, level: int) -> None:
    """Raise if a target is not in its legal set."""
    if not bool(illegal_MJ.any()):
        return
    row, head = torch.nonzero(illegal_MJ)[0].tolist()
    raise LegalityError(
        f"{int(illegal_MJ.sum())} targets are not legal at level {level + 1}, "
        f"first in row {row}, head {head + 1}",
        where="path_logp",
        fix="set ok to False for ads that were not active at the request, or mend the catalog",
    )
