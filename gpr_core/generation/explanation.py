"""What a decode did with each prefix that it looked at, and which part of it decided that.

A level is judged by itself: from the beams that entered it, a prefix counts as decided by value if
a cut of the same width by probability alone would have decided otherwise. What became of prefixes
whose parent was cut earlier is not asked. Heads are united: a prefix is kept if one head keeps it.

Letters: M beams, C their legal extensions, D extensions kept, N distinct prefixes of a request.
Source: own.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.trie import Trie
from gpr_core.generation.beam import Extensions, Floats, Ints, ObservedLevel
from gpr_core.generation.ordering import best_of_groups

Bools = npt.NDArray[np.bool_]


class Fate(StrEnum):
    """What became of a prefix at its level."""

    KEPT = "kept"
    KEPT_BY_VALUE = "kept by value"
    CUT_BY_VALUE = "cut by value"
    CUT_BY_SCORE = "cut by score"
    NO_ELIGIBLE_AD = "no eligible ad"


FATES = tuple(Fate)
MEANINGS = {
    Fate.KEPT: "it survived its level, and would have by probability alone",
    Fate.KEPT_BY_VALUE: "it survived, but probability alone would have cut it",
    Fate.CUT_BY_VALUE: "it was cut, but probability alone would have kept it",
    Fate.CUT_BY_SCORE: "its score was too low, and probability alone would have cut it, too",
    Fate.NO_ELIGIBLE_AD: "no ad below it may serve the request, so it was never entered",
}

_NO_ELIGIBLE_AD = FATES.index(Fate.NO_ELIGIBLE_AD)
# By whether a prefix was kept, then by whether probability alone would have kept it.
_FATE_OF = np.array(
    [
        [FATES.index(Fate.CUT_BY_SCORE), FATES.index(Fate.CUT_BY_VALUE)],
        [FATES.index(Fate.KEPT_BY_VALUE), FATES.index(Fate.KEPT)],
    ]
)


class ExplainedLevel(NamedTuple):
    """The children of the beams of one request at one level, by ascending node.

    Attributes:
        level: 0-based level.
        width: Prefixes that the level keeps per head (mode beam) or in all (mode gumbel) at most;
            None where the search is exhaustive.
        node_N: [N] int64, trie node of the prefix.
        fate_N: [N] int64, place in `FATES`.
        head_N: [N] int64, head that the numbers are of: among the heads that keep the prefix, or
            among all if none does, the one whose score of the cut is best; -1 without eligible ad.
        logp_N: [N] float64, log-probability of the prefix under that head; nan without eligible ad.
        value_N: [N] float64, standardized value; 0 where nobody asked, nan without eligible ad.
        score_N: [N] float64, what the cut went by, values included; nan without eligible ad.
        num_ads_N: [N] int64, ads below the prefix.
        num_eligible_N: [N] int64, those that may serve the request.
    """

    level: int
    width: int | None
    node_N: Ints
    fate_N: Ints
    head_N: Ints
    logp_N: Floats
    value_N: Floats
    score_N: Floats
    num_ads_N: Ints
    num_eligible_N: Ints

    def counts(self) -> dict[Fate, int]:
        """Count the prefixes of every fate.

        Returns:
            Fate -> prefixes, zeros included; they add up to N.
        """
        count = np.bincount(self.fate_N, minlength=len(FATES))
        return dict(zip(FATES, count.tolist(), strict=True))

    def best(self, fate: Fate, limit: int) -> Ints:
        """Find the foremost prefixes of a fate.

        Args:
            fate: What became of them.
            limit: How many at most.

        Returns:
            Positions, the best first: of the kept ones by the score of the cut, of the cut ones
            by probability, of those without eligible ad by the number of ads; ties by node.
        """
        mine = np.flatnonzero(self.fate_N == FATES.index(fate))
        key_N = self.score_N if fate in (Fate.KEPT, Fate.KEPT_BY_VALUE) else self.logp_N
        if fate is Fate.NO_ELIGIBLE_AD:
            key_N = self.num_ads_N.astype(np.float64)
        return mine[np.argsort(-key_N[mine], kind="stable")[:limit]]


class Recorder:
    """An observer that remembers all levels."""

    def __init__(self) -> None:
        self.levels: list[ObservedLevel] = []

    def see(self, level: ObservedLevel) -> None:
        """Remember a level.

        Args:
            level: What the decoder did.
        """
        self.levels.append(level)


def explain_request(
    levels: Iterable[ObservedLevel], trie: Trie, eligible: EligibleAds, row: int
) -> list[ExplainedLevel]:
    """Say what became of every prefix that was looked at for one request.

    Args:
        levels: What a `Recorder` saw of one decode.
        trie: The catalog's tree, on the host.
        eligible: Ads that may serve each request.
        row: The request.

    Returns:
        One entry per level; none for a request without an eligible ad.
    """
    mine = (_of_request(seen, row) for seen in levels)
    return [_explain_level(seen, trie, eligible, row) for seen in mine if seen.beams.row_M.size]


def kept_by_score_alone(seen: ObservedLevel) -> Bools:
    """Cut a level again, without values: each group keeps its best extensions by score.

    Args:
        seen: The level.

    Returns:
        [C] bool, True for the extensions that would have survived.
    """
    kept_C = np.zeros(seen.found.code_C.size, dtype=np.bool_)
    if seen.width is None or not kept_C.size:
        return ~kept_C
    limit_G = np.full(int(seen.group_M[-1]) + 1, seen.width)
    kept_C[best_of_groups(seen.group_M[seen.found.beam_C], limit_G, seen.score_C)] = True
    return kept_C


def _of_request(seen: ObservedLevel, row: int) -> ObservedLevel:
    """Leave the other requests out; beams are sorted by request, extensions by beam."""
    first, end = np.searchsorted(seen.beams.row_M, [row, row + 1])
    start, stop = np.searchsorted(seen.found.beam_C, [first, end])
    beams, extensions = np.arange(first, end), slice(start, stop)
    found = Extensions(
        beam_C=seen.found.beam_C[extensions] - first,
        code_C=seen.found.code_C[extensions],
        node_C=seen.found.node_C[extensions],
        logp_C=seen.found.logp_C[extensions],
        legal_count_M=seen.found.legal_count_M[beams],
    )
    return seen._replace(
        beams=seen.beams.select(beams),
        found=found,
        kept_D=seen.kept_D[slice(*np.searchsorted(seen.kept_D, [start, stop]))] - start,
        score_C=seen.score_C[extensions],
        value_C=seen.value_C[extensions],
        cut_C=seen.cut_C[extensions],
        group_M=seen.group_M[beams],
    )


def _explain_level(
    seen: ObservedLevel, trie: Trie, eligible: EligibleAds, row: int
) -> ExplainedLevel:
    """Judge the children of one request at one level."""
    legal = _legal_prefixes(seen)
    parents = torch.from_numpy(np.unique(seen.beams.node_M))
    dead = np.setdiff1d(trie.expand(parents).node_C.numpy(), legal.node_N, assume_unique=True)
    node_N = np.concatenate([legal.node_N, dead])
    first_N, end_N = (part.numpy() for part in trie.interval(torch.from_numpy(node_N)))
    no_fate, no_number = np.full(dead.size, _NO_ELIGIBLE_AD), np.full(dead.size, np.nan)
    columns = (
        node_N,
        np.concatenate([legal.fate_N, no_fate]),
        np.concatenate([legal.head_N, np.full(dead.size, -1)]),
        *(np.concatenate([known_N, no_number]) for known_N in legal[3:]),
        end_N - first_N,
        eligible.count_between(np.full(node_N.size, row), first_N, end_N),
    )
    in_order = np.argsort(node_N)
    return ExplainedLevel(seen.level, seen.width, *(column[in_order] for column in columns))


class _LegalPrefixes(NamedTuple):
    """The legal children of one request, by ascending node; columns as in `ExplainedLevel`."""

    node_N: Ints
    fate_N: Ints
    head_N: Ints
    logp_N: Floats
    value_N: Floats
    score_N: Floats


def _legal_prefixes(seen: ObservedLevel) -> _LegalPrefixes:
    """Judge the legal children of one request and unite its heads."""
    beams, found = seen.beams, seen.found
    is_kept_C = np.zeros(found.code_C.size, dtype=np.bool_)
    is_kept_C[seen.kept_D] = True
    # Of one node first the heads that keep it, among them the best score.
    order = np.lexsort((-seen.cut_C, ~is_kept_C, found.node_C))
    node = found.node_C[order]
    opens = np.flatnonzero(np.append(True, node[1:] != node[:-1]))
    is_kept_N = np.logical_or.reduceat(is_kept_C[order], opens)
    by_score_N = np.logical_or.reduceat(kept_by_score_alone(seen)[order], opens)
    first = order[opens]
    beam = found.beam_C[first]
    return _LegalPrefixes(
        node_N=node[opens],
        fate_N=_FATE_OF[is_kept_N.astype(np.int64), by_score_N.astype(np.int64)],
        head_N=beams.head_M[beam],
        logp_N=beams.logp()[beam] + found.logp_C[first],
        value_N=seen.value_C[first],
        score_N=seen.cut_C[first],
    )
