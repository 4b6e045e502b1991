"""How the width of a level is shared among the prefixes that entered it.

Letters: M prefixes, G groups (what shares a width, for example one request and head).
"""

import torch
from torch import Tensor


def allocate_width(
    value_M: Tensor,
    group_M: Tensor,
    capacity_M: Tensor,
    *,
    width: int,
    temperature: float,
    over_generation: float,
) -> Tensor:
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
        >>> allocate_width(torch.tensor([2.0, 0.0]), torch.tensor([0, 0]), torch.tensor([9, 9]),
        ...     width=4, temperature=1.0, over_generation=1.0).tolist()
        [4, 1]
    """
    if not value_M.numel():
        return torch.zeros_like(capacity_M)
    _, group_M, size_G = torch.unique_consecutive(group_M, return_inverse=True, return_counts=True)
    num_groups = size_G.numel()
    scaled_M = value_M.to(torch.float64) / temperature
    lowest_G = scaled_M.new_full((num_groups,), float("-inf"))
    top_G = lowest_G.scatter_reduce(0, group_M, scaled_M, "amax")
    weight_M = (scaled_M - top_G[group_M]).exp()
    total_G = weight_M.new_zeros(num_groups).index_add(0, group_M, weight_M)
    wanted_M = (width * over_generation * weight_M / total_G[group_M]).round().to(torch.int64)
    share_M = torch.minimum(wanted_M.clamp(min=1), capacity_M)
    zeros_G = torch.zeros(num_groups, dtype=torch.int64, device=value_M.device)
    children_G = zeros_G.index_add(0, group_M, capacity_M)
    missing_G = children_G.clamp(max=width) - zeros_G.index_add(0, group_M, share_M)
    spare_M = capacity_M - share_M
    order_M = torch.argsort(value_M, stable=True, descending=True)
    order_M = order_M[torch.argsort(group_M[order_M], stable=True)]
    ordered_M = spare_M[order_M]
    before_M = torch.cumsum(ordered_M, 0) - ordered_M
    start_G = torch.cumsum(size_G, 0) - size_G
    before_M = before_M - before_M[start_G][group_M[order_M]]
    extra_M = (missing_G[group_M[order_M]] - before_M).clamp(min=0)
    share_M[order_M] += torch.minimum(extra_M, ordered_M)
    return share_M
