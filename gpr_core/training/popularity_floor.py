"""The floor that a trained policy must beat: codes by how often they were exposed.

Letters: N trie nodes, A ads by rank, M flat rows (requests), L levels, V codes.

Source: specification, table of steps (loss below the popularity baseline) and T24.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import DAY_MS
from gpr_core.training.examples import Examples

_SMOOTHING = 0.5


class Popularity(NamedTuple):
    """Exposures in the training decisions.

    Attributes:
        count_A: [A] int64, exposures of each ad.
        count_N: [N] int64, exposures below each trie node.
    """

    count_A: Tensor
    count_N: Tensor


def count_exposures(examples: Examples, trie: Trie, *, since_ts: int) -> Popularity:
    """Count the exposures that enter the loss.

    Args:
        examples: Decisions; held-out ones are not counted.
        trie: The catalog's tree.
        since_ts: First counted time, epoch ms.

    Returns:
        The counts.
    """
    is_counted_X = examples.is_loss_X & (examples.context.ts >= since_ts)
    count_A = torch.bincount(
        torch.from_numpy(examples.rank_X[is_counted_X]), minlength=trie.num_ads
    )
    before = torch.cat([torch.zeros(1, dtype=torch.int64), count_A.cumsum(0)])
    first_N, end_N = trie.interval(torch.arange(trie.num_nodes))
    return Popularity(count_A, before[end_N] - before[first_N])


def floor_windows(cutoff_ts: int, first_ts: int) -> dict[str, int]:
    """Name the spans of time over which popularity is counted.

    Args:
        cutoff_ts: End of training data.
        first_ts: Start of training data.

    Returns:
        Name -> first counted time.
    """
    return {"week": cutoff_ts - 7 * DAY_MS, "all": first_ts}


def popularity_nll(
    popularity: Popularity, trie: Trie, path_ML: Tensor, legal: Sequence[Tensor]
) -> npt.NDArray[np.float64]:
    """Score target paths by smoothed popularity over the same legal codes as the policy.

    Args:
        popularity: Counts.
        trie: The catalog's tree.
        path_ML: [M, L] int64 target paths.
        legal: L tensors [M, V_l] bool.

    Returns:
        [M] float64, negative log-likelihood of each path, nats.
    """
    node_ML = trie.nodes_of_paths(path_ML)
    parent_ML = torch.cat([torch.zeros_like(node_ML[:, :1]), node_ML[:, :-1]], dim=1)
    nll_M = torch.zeros(len(path_ML), dtype=torch.float64)
    for level, legal_MV in enumerate(legal):
        child_MV = trie.children(parent_ML[:, level])[:, : legal_MV.shape[1]]
        weight_MV = popularity.count_N[child_MV.clamp(min=0)].to(torch.float64) + _SMOOTHING
        weight_MV = torch.where(legal_MV, weight_MV, 0.0)
        chosen_M = weight_MV.gather(1, path_ML[:, level : level + 1])[:, 0]
        nll_M -= torch.log(chosen_M / weight_MV.sum(1))
    return nll_M.numpy()


def popularity_hits(
    popularity: Popularity, eligible_MA: Tensor, rank_M: Tensor, num_ads: int
) -> npt.NDArray[np.bool_]:
    """Say whether the exposed ad is among the most exposed eligible ads.

    Args:
        popularity: Counts.
        eligible_MA: [M, A] bool, exact eligibility.
        rank_M: [M] int64, exposed ad.
        num_ads: Length of the list.

    Returns:
        [M] bool.
    """
    order_A = torch.argsort(popularity.count_A, descending=True, stable=True)
    sorted_MA = eligible_MA[:, order_A]
    position_M = torch.argsort(order_A)[rank_M]
    better_M = sorted_MA.cumsum(1).gather(1, position_M[:, None])[:, 0]
    is_eligible_M = eligible_MA.gather(1, rank_M[:, None])[:, 0]
    return np.asarray((is_eligible_M & (better_M <= num_ads)).numpy())
