"""Beams on the trie: entering the root, extending by legal codes, cutting a level.

All beams of a batch lie in flat rows sorted by (request, head, node). A beam only ever enters a
node with an eligible ad below it, so that none dies.
Letters: B requests, J heads, L levels, P codes so far, V codes, M flat beams, C flat children,
D flat children that survive.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.legality import legal_children
from gpr_core.catalog.trie import Trie
from gpr_core.generation.ordering import rank_in_group
from gpr_core.generation.protocols import Policy
from gpr_core.objectives.masked_softmax import masked_log_softmax


class Beams(NamedTuple):
    """Prefixes of the same length.

    Attributes:
        row_M: [M] int64, request.
        head_M: [M] int64.
        node_M: [M] int64, trie node.
        code_MP: [M, P] int64.
        logp_MP: [M, P] log-probability of each code over its legal set.
        legal_count_MP: [M, P] int64, size of each legal set.
        draw_M: [M] perturbed log-probability (mode gumbel), else 0.
        value_M: [M] standardized value of the prefix, 0 where it was not asked for.
    """

    row_M: Tensor
    head_M: Tensor
    node_M: Tensor
    code_MP: Tensor
    logp_MP: Tensor
    legal_count_MP: Tensor
    draw_M: Tensor
    value_M: Tensor

    def select(self, keep_M: Tensor) -> "Beams":
        """Keep some beams.

        Args:
            keep_M: Boolean mask over M, or integer positions.

        Returns:
            The chosen beams.
        """
        return Beams(*(column[keep_M] for column in self))


class Extensions(NamedTuple):
    """Legal one-code extensions of beams, sorted by (beam, code).

    Attributes:
        beam_C: [C] int64, beam that is extended.
        code_C: [C] int64.
        node_C: [C] int64, child node.
        logp_C: [C] log-probability of the code over the legal set.
        legal_count_M: [M] int64, number of legal codes of each beam.
    """

    beam_C: Tensor
    code_C: Tensor
    node_C: Tensor
    logp_C: Tensor
    legal_count_M: Tensor


def enter_root(eligible: EligibleAds, rows_B: Tensor, num_heads: int) -> Beams:
    """Place one beam per head at the root of every request that has an eligible ad.

    Args:
        eligible: Ads that may serve each request.
        rows_B: [.] int64, requests to serve, ascending.
        num_heads: Heads J.

    Returns:
        Beams without codes.
    """
    rows = rows_B[eligible.totals()[rows_B] > 0]
    row_M = rows.repeat_interleave(num_heads)
    head_M = torch.arange(num_heads, device=rows.device).repeat(rows.numel())
    empty = torch.zeros((row_M.numel(), 0), device=rows.device)
    zeros_M = torch.zeros(row_M.numel(), dtype=torch.float64, device=rows.device)
    return Beams(
        row_M=row_M,
        head_M=head_M,
        node_M=torch.zeros_like(row_M),
        code_MP=empty.to(torch.int64),
        logp_MP=empty,
        legal_count_MP=empty.to(torch.int64),
        draw_M=zeros_M,
        value_M=zeros_M,
    )


def extend(
    policy: Policy, prefixes: Any, trie: Trie, eligible: EligibleAds, beams: Beams
) -> Extensions:
    """Score all legal extensions of beams.

    Args:
        policy: Proposes codes.
        prefixes: What it knows of the beams, row by row.
        trie: The catalog's tree.
        eligible: Ads that may serve each request.
        beams: Prefixes of one length P.

    Returns:
        The legal extensions.
    """
    logits_MV = policy.child_logits(prefixes)
    found = legal_children(trie, eligible, beams.row_M, beams.node_M)
    legal_MV = torch.zeros(logits_MV.shape, dtype=torch.bool, device=logits_MV.device)
    legal_MV[found.row_C, found.code_C] = True
    logp_MV = masked_log_softmax(logits_MV, legal_MV)
    return Extensions(
        beam_C=found.row_C,
        code_C=found.code_C,
        node_C=found.node_C,
        logp_C=logp_MV[found.row_C, found.code_C],
        legal_count_M=torch.bincount(found.row_C, minlength=beams.row_M.numel()),
    )


def advance(
    beams: Beams, extensions: Extensions, kept_D: Tensor, draw_C: Tensor, value_C: Tensor
) -> Beams:
    """Replace beams by the extensions that survived.

    Args:
        beams: Beams that were extended.
        extensions: Their extensions.
        kept_D: [D] int64, positions of the survivors among the extensions, ascending.
        draw_C: [C] perturbed log-probabilities.
        value_C: [C] values of the extended prefixes.

    Returns:
        Beams that are one code longer.
    """
    parent = extensions.beam_C[kept_D]

    def grow(column_MP: Tensor, last_C: Tensor) -> Tensor:
        return torch.cat([column_MP[parent], last_C.unsqueeze(1)], dim=1)

    return Beams(
        row_M=beams.row_M[parent],
        head_M=beams.head_M[parent],
        node_M=extensions.node_C[kept_D],
        code_MP=grow(beams.code_MP, extensions.code_C[kept_D]),
        logp_MP=grow(beams.logp_MP, extensions.logp_C[kept_D]),
        legal_count_MP=grow(beams.legal_count_MP, extensions.legal_count_M[parent]),
        draw_M=draw_C[kept_D],
        value_M=value_C[kept_D],
    )


def best_of_group(group_C: Tensor, score_C: Tensor, logp_C: Tensor, width: int) -> Tensor:
    """Cut each group to a width: by score, then log-probability, then the smaller path.

    Args:
        group_C: [C] int64, group of each extension; inside a group ordered by path.
        score_C: [C] scores.
        logp_C: [C] log-probabilities of the whole prefix.
        width: Extensions to keep per group.

    Returns:
        [D] int64, positions of those kept, ascending.
    """
    return (rank_in_group(group_C, score_C, logp_C) < width).nonzero()[:, 0]
