"""Beams on the trie: entering the root, extending by legal codes, cutting a level.

All beams of a batch lie in flat rows sorted by (request, head, node). A beam only ever enters a
node with an eligible ad below it, so that none dies. The beams are a few thousand numbers and stay
on the host; what the model makes of them stays where the model is.

Letters: J heads, L levels, P codes so far, V codes, M flat beams, C flat children, D flat children
that survive, N prefixes, Z cells of the flattened [M, V].
"""

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.legality import legal_children
from gpr_core.catalog.trie import Trie
from gpr_core.generation.protocols import Policy, Valuer
from gpr_core.objectives.masked_softmax import legal_log_softmax

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Beams(NamedTuple):
    """Prefixes of the same length.

    Attributes:
        row_M: [M] int64, request.
        head_M: [M] int64.
        node_M: [M] int64, trie node.
        code_MP: [M, P] int64.
        logp_MP: [M, P] float32, log-probability of each code over its legal set.
        legal_count_MP: [M, P] int64, size of each legal set.
        draw_M: [M] float64, perturbed log-probability (mode gumbel), else 0.
        value_M: [M] float64, standardized value of the prefix, 0 where it was not asked for.
    """

    row_M: Ints
    head_M: Ints
    node_M: Ints
    code_MP: Ints
    logp_MP: npt.NDArray[np.float32]
    legal_count_MP: Ints
    draw_M: Floats
    value_M: Floats

    def select(self, keep_M: Ints) -> "Beams":
        """Keep some beams.

        Args:
            keep_M: Positions.

        Returns:
            The chosen beams.
        """
        columns: list[Any] = [column[keep_M] for column in self]
        return Beams(*columns)

    def logp(self) -> Floats:
        """Give the log-probability of each prefix.

        Returns:
            [M] float64.
        """
        return np.asarray(self.logp_MP.sum(axis=1, dtype=np.float64))


class Extensions(NamedTuple):
    """Legal one-code extensions of beams, sorted by (beam, code).

    Attributes:
        beam_C: [C] int64, beam that is extended.
        code_C: [C] int64.
        node_C: [C] int64, child node.
        logp_C: [C] float32, log-probability of the code over the legal set.
        legal_count_M: [M] int64, number of legal codes of each beam.
    """

    beam_C: Ints
    code_C: Ints
    node_C: Ints
    logp_C: npt.NDArray[np.float32]
    legal_count_M: Ints


class ObservedLevel(NamedTuple):
    """One level of a decode after its cut, with what the cut went by.

    Attributes:
        level: 0-based level of the codes that were added.
        beams: Prefixes before, M of them.
        found: Their legal extensions, C of them.
        kept_D: [D] int64, positions of the survivors among the extensions, ascending.
        score_C: [C] float64, what the cut would go by without values: log-probability of the
            extended prefix, or its perturbed one (mode gumbel).
        value_C: [C] float64, standardized values of the extended prefixes, 0 where not asked for.
        cut_C: [C] float64, what the cut goes by: the score, with values where they count.
        group_M: [M] int64, ascending; beams of one number share the width.
        width: Survivors per group at most; None where nothing is cut.
    """

    level: int
    beams: Beams
    found: Extensions
    kept_D: Ints
    score_C: Floats
    value_C: Floats
    cut_C: Floats
    group_M: Ints
    width: int | None


class Observer(Protocol):
    """Looks on while a decoder works, and changes nothing."""

    def see(self, level: ObservedLevel) -> None:
        """Take note of a level; called once per level, after its cut.

        Requests that are searched exhaustively come in calls of their own, before the others.

        Args:
            level: What the decoder did; its arrays must not be written to.
        """


def enter_root(eligible: EligibleAds, rows_B: Ints, num_heads: int) -> Beams:
    """Place one beam per head at the root of every request that has an eligible ad.

    Args:
        eligible: Ads that may serve each request.
        rows_B: [.] int64, requests to serve, ascending.
        num_heads: Heads J.

    Returns:
        Beams without codes.
    """
    rows = rows_B[eligible.totals()[rows_B] > 0]
    row_M = np.repeat(rows, num_heads)
    zeros_M = np.zeros(row_M.size)
    nothing = np.zeros((row_M.size, 0), dtype=np.int64)
    return Beams(
        row_M=row_M,
        head_M=np.tile(np.arange(num_heads), rows.size),
        node_M=np.zeros_like(row_M),
        code_MP=nothing,
        logp_MP=nothing.astype(np.float32),
        legal_count_MP=nothing,
        draw_M=zeros_M,
        value_M=zeros_M,
    )


def begin(policy: Policy, state: Any, beams: Beams) -> Any:
    """Let the policy start the paths of beams.

    Args:
        policy: Proposes codes.
        state: What it read.
        beams: Beams at the root.

    Returns:
        Its prefixes, row by row.
    """
    device = policy.head_weights_J.device
    rows, heads = (torch.from_numpy(part).to(device) for part in (beams.row_M, beams.head_M))
    return policy.begin(state, rows, heads)


def follow(policy: Policy, prefixes: Any, extensions: Extensions, kept_D: Ints) -> Any:
    """Let the policy choose the codes that survived.

    Args:
        policy: Proposes codes.
        prefixes: What it knows of the beams before.
        extensions: Their extensions.
        kept_D: [D] int64, positions of the survivors.

    Returns:
        Its prefixes of the beams after.
    """
    device = policy.head_weights_J.device
    chosen = (extensions.beam_C[kept_D], extensions.code_C[kept_D])
    return policy.extend(prefixes, *(torch.from_numpy(part).to(device) for part in chosen))


def value_prefixes(valuer: Valuer, state: Any, row_N: Ints, code_NP: Ints) -> Floats:
    """Ask the valuer about prefixes.

    Args:
        valuer: Values prefixes.
        state: What the policy read.
        row_N: [N] int64, request of each prefix.
        code_NP: [N, P] int64 codes.

    Returns:
        [N] float64, standardized.
    """
    device = valuer.value_mean.device
    rows, codes = (torch.from_numpy(part).to(device) for part in (row_N, code_NP))
    return np.asarray(valuer.prefix_values(state, rows, codes).double().cpu().numpy())


def weights_of_heads(policy: Policy) -> Floats:
    """Give the weights of the heads on the host.

    Args:
        policy: Proposes codes.

    Returns:
        [J] float64.
    """
    return np.asarray(policy.head_weights_J.double().cpu().numpy())


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
    cell_C = found.row_C * logits_MV.shape[1] + found.code_C
    legal_Z = np.zeros(logits_MV.numel(), dtype=np.bool_)
    legal_Z[cell_C] = True
    legal_MV = torch.from_numpy(legal_Z).view(logits_MV.shape).to(logits_MV.device)
    logp_MV = legal_log_softmax(logits_MV, legal_MV)
    cell = torch.from_numpy(cell_C).to(logits_MV.device)
    return Extensions(
        beam_C=found.row_C,
        code_C=found.code_C,
        node_C=found.node_C,
        logp_C=logp_MV.view(-1).index_select(0, cell).cpu().numpy(),
        legal_count_M=np.bincount(found.row_C, minlength=beams.row_M.size),
    )


def advance(
    beams: Beams, extensions: Extensions, kept_D: Ints, draw_C: Floats, value_C: Floats
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
    return Beams(
        row_M=beams.row_M[parent],
        head_M=beams.head_M[parent],
        node_M=extensions.node_C[kept_D],
        code_MP=_grow(beams.code_MP[parent], extensions.code_C[kept_D]),
        logp_MP=_grow(beams.logp_MP[parent], extensions.logp_C[kept_D]),
        legal_count_MP=_grow(beams.legal_count_MP[parent], extensions.legal_count_M[parent]),
        draw_M=draw_C[kept_D],
        value_M=value_C[kept_D],
    )


def _grow(column_DP: npt.NDArray[Any], last_D: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Append a column."""
    return np.concatenate([column_DP, last_D[:, None]], axis=1)
