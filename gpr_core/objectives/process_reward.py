"""Hierarchical process rewards: what the user's own successes say about each level (Eq 6 and 7).

Shape letters: B requests, S successes, N trie nodes, V codes, L levels, M flat rows.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.support.errors import LegalityError, ShapeError
from gpr_core.support.ranges import expand_ranges

_I64 = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Successes:
    """Recommendations that a user clicked or converted on, sorted by (user_key, ingest_ts).

    Attributes:
        user_key: [S] int64.
        ingest_ts: [S] int64, epoch ms; when the first outcome became known.
        node_SL: [S, L] int64, trie node of each prefix of the ad's path; -1 for no such node.
    """

    user_key: _I64
    ingest_ts: _I64
    node_SL: _I64


def sort_successes(user_key: _I64, ingest_ts: _I64, node_SL: _I64) -> Successes:
    """Put successes into the order that `count_successes` searches.

    Args:
        user_key: [S] int64.
        ingest_ts: [S] int64, epoch ms.
        node_SL: [S, L] int64.

    Returns:
        The same rows, sorted by user, then time.

    Raises:
        ShapeError: If the number of rows differs.
    """
    if not len(user_key) == len(ingest_ts) == len(node_SL):
        raise ShapeError(
            f"found {len(user_key)} users, {len(ingest_ts)} times and {len(node_SL)} paths",
            where="sort_successes",
            fix="give one row per success",
        )
    order = np.lexsort((ingest_ts, user_key))
    return Successes(user_key[order], ingest_ts[order], node_SL[order])


def count_successes(successes: Successes, user_key: _I64, ts: _I64, num_nodes: int) -> _I64:
    """Count, for each request, the user's earlier successes below every trie node.

    Only what had become known before the request counts; the request's own outcome is later by
    construction, so a target never votes for itself.

    Args:
        successes: Sorted successes of any users.
        user_key: [B] int64, user of each request.
        ts: [B] int64, request time, epoch ms.
        num_nodes: Number of trie nodes, root included as node 0.

    Returns:
        [B, N] int64; column 0 (the root) counts all earlier successes of the user, also those
        whose path has no node.

    Source:
        Specification 4.4 (as-of counting), trap T20.
    """
    first = np.searchsorted(successes.user_key, user_key, side="left")
    last = np.searchsorted(successes.user_key, user_key, side="right")
    row, event = expand_ranges(first, last)
    known = successes.ingest_ts[event] < ts[row]
    row, event = row[known], event[known]
    node = np.concatenate(
        [np.zeros((len(event), 1), dtype=np.int64), successes.node_SL[event]], axis=1
    )
    cell = (row[:, None] * num_nodes + node)[node >= 0]
    counts = np.bincount(cell, minlength=len(user_key) * num_nodes)
    return counts.reshape(len(user_key), num_nodes).astype(np.int64)


def conditional_popularity(child_count_MV: Tensor, prefix_count_M: Tensor) -> Tensor:
    """Share of the successes below a prefix that went on to each of its children.

    A residual code means nothing without its prefix, hence the condition.

    Args:
        child_count_MV: [M, V] earlier successes below each child.
        prefix_count_M: [M] earlier successes below the prefix.

    Returns:
        [M, V] float64 in [0, 1]; 0 where the prefix has no success.

    Source:
        Paper, "per-token popularity score"; conditioning from specification 4.4.
    """
    denominator = prefix_count_M.to(torch.float64).clamp(min=1.0).unsqueeze(1)
    return child_count_MV.to(torch.float64) / denominator


def preference_delta(popularity_MV: Tensor, legal_MV: Tensor, code_M: Tensor) -> Tensor:
    """Compare the chosen code's popularity with the mean over the legal codes (Eq 6).

    Args:
        popularity_MV: [M, V] popularity of each child of the chosen prefix, in [0, 1].
        legal_MV: [M, V] bool, legal children of that prefix for that request.
        code_M: [M] int64, the chosen code.

    Returns:
        [M] float64 in [-1, 1]; exactly 0 if one child is legal or all are equally popular.

    Raises:
        LegalityError: If a chosen code is not legal.

    Source:
        Paper Eq 6.

    Example:
        >>> popularity = torch.tensor([[0.5, 0.5, 0.0]])
        >>> legal = torch.tensor([[True, False, True]])
        >>> preference_delta(popularity, legal, torch.tensor([0])).tolist()
        [0.25]
    """
    chosen = code_M.unsqueeze(1)
    if not bool(legal_MV.gather(1, chosen).all()):
        row = int((~legal_MV.gather(1, chosen).squeeze(1)).nonzero()[0, 0])
        raise LegalityError(
            f"code {int(code_M[row])} was chosen but is not legal",
            where=f"row {row}",
            fix="use the legal sets of the rollout that made the candidates",
        )
    popularity = popularity_MV.to(torch.float64)
    total = (popularity * legal_MV).sum(1)
    return popularity.gather(1, chosen).squeeze(1) - total / legal_MV.sum(1)


def process_rewards(delta_MC: Tensor, terminal_M: Tensor, scale_C: Tensor) -> Tensor:
    """Assemble the step rewards (Eq 7).

    Args:
        delta_MC: [M, L-1] preference of each coarse choice.
        terminal_M: [M] standardized final value of the candidate.
        scale_C: [L-1] small non-negative factor of each coarse level.

    Returns:
        [M, L] float64: `scale * max(0, delta)` for the coarse levels, the terminal reward last.

    Source:
        Paper Eq 7, with the left side read as r_l. Clipping makes the expected process reward
        positive, so the paper's zero-mean remark holds for the delta only.

    Example:
        >>> delta = torch.tensor([[0.5, -0.5]])
        >>> process_rewards(delta, torch.tensor([2.0]), torch.tensor([0.5, 0.25])).tolist()
        [[0.25, 0.0, 2.0]]
    """
    coarse = delta_MC.to(torch.float64).clamp(min=0.0) * scale_C.to(torch.float64)
    return torch.cat([coarse, terminal_M.to(torch.float64).unsqueeze(1)], dim=1)
