"""How the width of a level is shared among the prefixes that entered it.

Letters: M prefixes, G groups (what shares a width, for example one request and head).
"""

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def allocate_width(
    value_M: npt.NDArray[np.float64],
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
    if not value_M.size:
        return np.zeros_like(capacity_M)
    opens_M = np.append(True, group_M[1:] != group_M[:-1])
    if opens_M.all():
        return np.minimum(capacity_M, max(round(width * over_generation), 1))
    start_G = np.flatnonzero(opens_M)
    group_M = np.cumsum(opens_M) - 1
    scaled_M = value_M.astype(np.float64) / temperature
    weight_M = np.exp(scaled_M - np.maximum.reduceat(scaled_M, start_G)[group_M])
    share_M = weight_M / np.add.reduceat(weight_M, start_G)[group_M]
    wanted_M = np.rint(width * over_generation * share_M).astype(np.int64)
    allowed_M = np.minimum(np.maximum(wanted_M, 1), capacity_M)
    children_G = np.add.reduceat(capacity_M, start_G)
    missing_G = np.minimum(children_G, width) - np.add.reduceat(allowed_M, start_G)
    # By value inside a group: what is missing is handed out until none is left.
    order_M = np.lexsort((-value_M, group_M))
    spare_M = (capacity_M - allowed_M)[order_M]
    before_M = np.cumsum(spare_M) - spare_M
    before_M -= before_M[start_G][group_M]
    extra_M = np.clip(missing_G[group_M] - before_M, 0, spare_M)
    allowed_M[order_M] += extra_M
    return allowed_M
