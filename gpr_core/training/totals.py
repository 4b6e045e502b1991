"""What the losses of an update are divided by.

An update may be computed in shares, one after the other or by several processes. Every loss is a
sum over the update divided by a number that is known from the data, so the shares divide by the
numbers of the whole update and simply add up. The mean of the means of shares would be another
loss: a share with few targets would count as much as one with many.

Letters: M flat rows (valid readouts), J heads.

Source: specification 4.1 and 4.2 (W); own, decision 0019.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Totals(NamedTuple):
    """Counts of one update.

    Attributes:
        readouts: Valid readouts, at least 1.
        tokens: Valid tokens.
        targets: Scalar float32, readouts whose first head has a target.
        omega: Scalar float32, sum of the value weights of those targets.
        mature_3: [3] int64, readouts for which each outcome is known.
    """

    readouts: int
    tokens: int
    targets: Tensor
    omega: Tensor
    mature_3: Tensor


class Share(NamedTuple):
    """How much of an update a batch is.

    Attributes:
        readouts: Share of the valid readouts, in (0, 1].
        tokens: Share of the valid tokens, in (0, 1].
    """

    readouts: float
    tokens: float


WHOLE = Share(1.0, 1.0)


def count_totals(ok_MJ: Tensor, omega_MJ: Tensor, is_mature_M3: Tensor, *, tokens: int) -> Totals:
    """Count what the losses of some readouts are divided by.

    Args:
        ok_MJ: [M, J] bool, whether the head has a target.
        omega_MJ: [M, J] float32, value weight of each target, 0 without one.
        is_mature_M3: [M, 3] bool, which outcomes are known.
        tokens: Valid tokens of the sequences.

    Returns:
        The counts.

    Example:
        >>> ok_MJ = torch.tensor([[True, False], [True, True]])
        >>> omega_MJ = torch.tensor([[0.5, 0.0], [2.0, 1.0]])
        >>> totals = count_totals(ok_MJ, omega_MJ, torch.ones(2, 3, dtype=torch.bool), tokens=9)
        >>> totals.targets.item(), totals.omega.item(), totals.mature_3.tolist()
        (2.0, 2.5, [2, 2, 2])
    """
    return Totals(
        readouts=len(ok_MJ),
        tokens=tokens,
        targets=ok_MJ.to(torch.float32)[:, 0].sum(),
        omega=torch.where(ok_MJ, omega_MJ, 0.0)[:, 0].sum(),
        mature_3=is_mature_M3.sum(0),
    )
