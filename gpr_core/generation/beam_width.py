"""How the width of a level is shared among the prefixes that entered it.

Letters: M prefixes, N prefixes of one group (what shares a width, for example a request and head).
"""

import numpy as np
import numpy.typing as npt

from gpr_core.generation.ordering import end_of_group
from gpr_core.support.compiled import compiled

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def allocate_width(
    value_M: Floats,
    group_M: Ints,
    capacity_M: Ints,
    *,
    width: int,
    temperature: float,
    over_generation: float,
) -> Ints:
    """Give prefixes of higher value more children.

    Shares are a softmax of the value; every prefix gets at least one child and never more than it
    has. What is missing to fill the width afterwards goes to the most valuable prefixes that still
    have children. A prefix of higher value gets at least as many as one of lower value unless its
    own children run out.

    Args:
        value_M: [M] standardized value of each prefix.
        group_M: [M] int64, group of each prefix, ascending.
        capacity_M: [M] int64, legal children of each prefix, >= 1.
        width: Beams of a group that survive the level.
        temperature: Temperature of the shares.
        over_generation: Children generated per surviving beam.

    Returns:
        [M] int64 children allowed per prefix; a group's sum is at least min(width, children).

    Source:
        Specification 5.2 (dynamic width).

    Example:
        >>> allocate_width(np.array([2.0, 0.0]), np.array([0, 0]), np.array([9, 9]),
        ...     width=4, temperature=1.0, over_generation=1.0).tolist()
        [4, 1]
    """
    allowed_M = np.empty(value_M.size, dtype=np.int64)
    scaled_M = value_M.astype(np.float64) / temperature
    _allocate(scaled_M, group_M, capacity_M, width, width * over_generation, allowed_M)
    return allowed_M


@compiled
def _share(
    scaled_N: Floats, capacity_N: Ints, width: int, generated: float, allowed_N: Ints
) -> None:
    """Fill in the children of the prefixes of one group."""
    weight_N = np.exp(scaled_N - scaled_N.max())
    each = generated / weight_N.sum()
    missing = min(capacity_N.sum(), width)
    for place in range(scaled_N.size):
        wanted = max(round(each * weight_N[place]), 1)
        allowed_N[place] = min(wanted, capacity_N[place])
        missing -= allowed_N[place]
    while missing > 0:
        best = -1
        for place in range(scaled_N.size):
            is_better = best < 0 or scaled_N[place] > scaled_N[best]
            if allowed_N[place] < capacity_N[place] and is_better:
                best = place
        extra = min(capacity_N[best] - allowed_N[best], missing)
        allowed_N[best] += extra
        missing -= extra


@compiled
def _allocate(
    scaled_M: Floats,
    group_M: Ints,
    capacity_M: Ints,
    width: int,
    generated: float,
    allowed_M: Ints,
) -> None:
    """Fill in the children of the prefixes of every group."""
    first = 0
    while first < group_M.size:
        end = end_of_group(group_M, first)
        _share(scaled_M[first:end], capacity_M[first:end], width, generated, allowed_M[first:end])
        first = end
