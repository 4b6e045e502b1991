"""Log-probabilities of given paths, by the very computation that generated them.

The importance ratio of a candidate is 1 before the first update only if head, legal sets and
softmax are those of the rollout. This module therefore extends prefixes exactly as the beam does.
Letters: L levels, V codes, M flat candidates, U distinct prefixes.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.legality import legal_codes
from gpr_core.catalog.trie import Trie
from gpr_core.generation.protocols import Policy
from gpr_core.objectives.masked_softmax import masked_log_softmax
from gpr_core.support.errors import LegalityError


class PathLogp(NamedTuple):
    """Log-probabilities per level.

    Attributes:
        logp_ML: [M, L], differentiable in the policy's parameters.
        legal_count_ML: [M, L] int64, size of each legal set.
    """

    logp_ML: Tensor
    legal_count_ML: Tensor


class Prefixes(NamedTuple):
    """Distinct (request, head, prefix) triples behind many candidates.

    Attributes:
        first_U: [U] int64, one candidate that has the prefix.
        inverse_M: [M] int64, which of the U each candidate has.
    """

    first_U: Tensor
    inverse_M: Tensor


def distinct_prefixes(row_M: Tensor, head_M: Tensor, node_M: Tensor) -> Prefixes:
    """Find candidates that share request, head and prefix.

    Args:
        row_M: [M] int64 request.
        head_M: [M] int64 head; zeros if heads do not matter.
        node_M: [M] int64 trie node of the prefix.

    Returns:
        The distinct triples, ordered by (request, head, node).
    """
    triple_M3 = torch.stack([row_M, head_M, node_M], dim=1)
    triple_U3, inverse_M = torch.unique(triple_M3, dim=0, return_inverse=True)
    place_M = torch.arange(row_M.numel(), device=row_M.device)
    first_U = torch.full((len(triple_U3),), row_M.numel(), device=row_M.device)
    return Prefixes(first_U.scatter_reduce(0, inverse_M, place_M, "amin"), inverse_M)


def prefix_nodes(trie: Trie, path_ML: Tensor) -> Tensor:
    """Find the node that each code of a path is chosen at.

    Args:
        trie: The catalog's tree, on the host.
        path_ML: [M, L] int64 codes.

    Returns:
        [M, L] int64: the root, then the nodes of the first 1..L-1 codes.

    Raises:
        LegalityError: If a path is not in the catalog.
    """
    node_ML = trie.nodes_of_paths(path_ML.cpu()).to(path_ML.device)
    if bool((node_ML < 0).any()):
        row = int((node_ML < 0).any(1).nonzero()[0, 0])
        raise LegalityError(
            f"path {path_ML[row].tolist()} is not in the catalog",
            where=f"candidate {row}",
            fix="use the catalog version that the candidates were generated with",
        )
    return torch.cat([torch.zeros_like(node_ML[:, :1]), node_ML[:, :-1]], dim=1)


def path_log_probs(
    policy: Policy,
    state: Any,
    trie: Trie,
    eligible: EligibleAds,
    row_M: Tensor,
    head_M: Tensor,
    path_ML: Tensor,
) -> PathLogp:
    """Compute the log-probability of every code of given paths.

    A prefix that several candidates of a request and head share is evaluated once.

    Args:
        policy: The policy; gradients flow into it.
        state: What `policy.read` returned; row r belongs to request r.
        trie: The catalog's tree, on the host.
        eligible: Ads that may serve each request.
        row_M: [M] int64 request of each candidate.
        head_M: [M] int64 head that proposed it.
        path_ML: [M, L] int64 codes.

    Returns:
        Log-probabilities over the legal set of each prefix, and the sizes of these sets.

    Raises:
        LegalityError: If a path is not in the catalog, or a code is not legal for its request.

    Source:
        Specification 4.5 (identical legal set and head at rollout and update), trap T17.
    """
    node_ML = prefix_nodes(trie, path_ML)
    logps, counts = [], []
    shared = distinct_prefixes(row_M, head_M, node_ML[:, 0])
    prefixes = policy.begin(state, row_M[shared.first_U], head_M[shared.first_U])
    for level in range(trie.num_levels):
        if level:
            parents_M = shared.inverse_M
            shared = distinct_prefixes(row_M, head_M, node_ML[:, level])
            last_M = path_ML[:, level - 1]
            prefixes = policy.extend(prefixes, parents_M[shared.first_U], last_M[shared.first_U])
        first_U = shared.first_U
        logits_UV = policy.child_logits(prefixes)
        legal_UV = legal_codes(trie, eligible, row_M[first_U], node_ML[first_U, level])
        legal_UV = legal_UV[:, : logits_UV.shape[1]]
        logp_UV = masked_log_softmax(logits_UV, legal_UV)
        logps.append(logp_UV[shared.inverse_M, path_ML[:, level]])
        counts.append(legal_UV.sum(1)[shared.inverse_M])
    logp_ML = torch.stack(logps, dim=1)
    if not bool(torch.isfinite(logp_ML).all()):
        row = int((~torch.isfinite(logp_ML)).any(1).nonzero()[0, 0])
        raise LegalityError(
            f"path {path_ML[row].tolist()} is not legal for its request",
            where=f"candidate {row}",
            fix="rebuild the legal sets from the snapshot of the rollout",
        )
    return PathLogp(logp_ML, torch.stack(counts, dim=1))
