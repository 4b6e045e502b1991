"""Value-guided efficient decoding (VED): deepen the prefixes that promise most, one at a time.

A narrow beam builds a tree of evaluated prefixes. Then, until a budget of evaluations is spent,
each request expands one more child of the prefix with the best bound: its value, plus the entropy
of its codes, plus a term that shrinks with every visit. Complete paths below all evaluated prefixes
are the candidates. Requests of a batch take their turns together; none sees the others.

The paper descends from the root by the bound and expands where it stops; here the bounds of all
prefixes that may be expanded are compared at once.

Letters: J heads, L levels, P codes, M evaluated prefixes, C their legal children, D new prefixes,
R requests.

Source: V-STAR (VED); specification 5.3.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.trie import Trie
from gpr_core.generation.beam import (
    Beams,
    Extensions,
    Floats,
    Ints,
    advance,
    begin,
    enter_root,
    extend,
    follow,
    value_prefixes,
    weights_of_heads,
)
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.leaf_ads import eligible_ads_below, emit, predict_values, unite_heads
from gpr_core.generation.ordering import best_of_groups, rank_in_group
from gpr_core.generation.protocols import (
    Candidates,
    DecodeRequests,
    Policy,
    Valuer,
    no_candidates,
)
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeConfig:
    """How the tree grows."""

    evaluations: int = 128
    """Prefixes evaluated per request, those of the first beam among them, which is always whole.
    >= 1."""
    first_width: int = 8
    """Prefixes per level, request and head that the first beam keeps. >= 1."""
    exploration: float = 1.0
    """Weight of the term that shrinks with visits, in standard deviations of value. >= 0."""
    entropy: float = 0.1
    """Weight of the entropy (nats) of the codes that may follow. >= 0."""

    def __post_init__(self) -> None:
        """Check ranges."""
        check_range("evaluations", self.evaluations, 1, 1_000_000)
        check_range("first_width", self.first_width, 1, 10_000)
        check_range("exploration", self.exploration, 0.0, 1e6)
        check_range("entropy", self.entropy, 0.0, 1e6)


class JoiningPolicy(Policy, Protocol):
    """A policy whose prefixes can be put together."""

    def join(self, parts: list[Any]) -> Any:
        """Put prefixes of one length together.

        Args:
            parts: What `begin` and `extend` returned.

        Returns:
            All prefixes, in order.
        """


class _Level(NamedTuple):
    """Evaluated prefixes of one length, with all their legal children.

    Attributes:
        beams: The prefixes.
        parent_M: [M] int64, place of the prefix before among those of the level above.
        prefixes: What the policy knows of them.
        children: Their legal children; `beam_C` counts within the level.
        value_C: [C] float64, value of each child; zeros on the last level.
        priority_M: [M] float64, value plus entropy.
        visit_M: [M] int64, expansions at or below the prefix.
        is_open_C: [C] bool, whether the child has not been evaluated.
    """

    beams: Beams
    parent_M: Ints
    prefixes: Any
    children: Extensions
    value_C: Floats
    priority_M: Floats
    visit_M: Ints
    is_open_C: npt.NDArray[np.bool_]


@torch.no_grad()
def decode_by_tree(
    policy: JoiningPolicy,
    valuer: Valuer,
    state: Any,
    requests: DecodeRequests,
    trie: Trie,
    ad_table: AdTable,
    config: BeamConfig,
    *,
    tree: TreeConfig,
) -> Candidates:
    """Generate the best ads for a batch of requests.

    Args:
        policy: Proposes codes.
        valuer: Values prefixes and ads.
        state: What `policy.read` returned; row r belongs to request r.
        requests: The requests and their exact eligibility.
        trie: The catalog's tree, on the host.
        ad_table: Attributes of the ads.
        config: Length and order of the lists, value bonus of a child; widths do not matter.
        tree: How the tree grows.

    Returns:
        Candidates sorted by request, best first, on the host.
    """
    search = _TreeSearch(policy, valuer, state, requests, trie, config, tree)
    num_heads = int(policy.head_weights_J.numel())
    roots = enter_root(requests.eligible, np.arange(requests.eligible.num_requests), num_heads)
    if not roots.row_M.size:
        return no_candidates(trie)
    search.start(roots)
    while search.expand():
        pass
    weights_J = weights_of_heads(policy)
    paths, score_M = unite_heads(search.complete_paths(), weights_J, trie, by_draw=False)
    pairs = eligible_ads_below(trie, requests.eligible, paths.row_M, paths.node_M)
    values = predict_values(valuer, state, requests, ad_table, trie, pairs)
    return emit(paths, score_M, values, trie, ad_table, config)


class _TreeSearch:
    """The growing tree of a batch."""

    def __init__(
        self,
        policy: JoiningPolicy,
        valuer: Valuer,
        state: Any,
        requests: DecodeRequests,
        trie: Trie,
        config: BeamConfig,
        tree: TreeConfig,
    ) -> None:
        self._policy, self._valuer, self._state = policy, valuer, state
        self._requests, self._trie, self._config, self._tree = requests, trie, config, tree
        self._levels: list[_Level] = []
        self._spent_B = np.zeros(requests.eligible.num_requests, dtype=np.int64)

    def start(self, roots: Beams) -> None:
        """Build the tree of the first beam."""
        prefixes = begin(self._policy, self._state, roots)
        nowhere_M = np.full(roots.row_M.size, -1)
        value_M = value_prefixes(self._valuer, self._state, roots.row_M, roots.code_MP)
        self._levels = [self._evaluate(roots, prefixes, nowhere_M, value_M)]
        num_heads = int(self._policy.head_weights_J.numel())
        for _ in range(self._trie.num_levels - 1):
            above = self._levels[-1]
            logp_C = above.beams.logp()[above.children.beam_C] + above.children.logp_C
            group_M = above.beams.row_M * num_heads + above.beams.head_M
            width_G = np.full(int(group_M[-1]) + 1, self._tree.first_width)
            kept = best_of_groups(group_M[above.children.beam_C], width_G, logp_C)
            self._levels.append(self._grow(above, kept))

    def expand(self) -> bool:
        """Expand one child of every request that has budget and an open child; False at the end."""
        bounds = [self._bounds(level) for level in self._levels[:-1]]
        row = np.concatenate([level.beams.row_M for level in self._levels[:-1]])
        bound = np.concatenate(bounds)
        first = np.cumsum([0, *(part.size for part in bounds)])
        may_grow = np.isfinite(bound) & (self._spent_B[row] < self._tree.evaluations)
        among = np.flatnonzero(may_grow)
        chosen = among[rank_in_group(row[among], bound[among]) == 0]
        for depth in range(len(self._levels) - 1):
            inside = chosen[(chosen >= first[depth]) & (chosen < first[depth + 1])] - first[depth]
            if inside.size:
                self._expand_level(depth, inside)
        return bool(chosen.size)

    def complete_paths(self) -> Beams:
        """List the paths below all evaluated prefixes, sorted by request, head and node."""
        last = self._levels[-1]
        everything = np.arange(last.children.code_C.size)
        zeros_C = np.zeros(everything.size)
        found = advance(last.beams, last.children, everything, zeros_C, zeros_C)
        return found.select(np.lexsort((found.node_M, found.head_M, found.row_M)))

    def _expand_level(self, depth: int, owner_D: Ints) -> None:
        """Evaluate the best open child of some prefixes of a level."""
        level = self._levels[depth]
        open_C = np.flatnonzero(level.is_open_C & np.isin(level.children.beam_C, owner_D))
        key_C = level.children.logp_C[open_C] + self._config.bonus(depth) * level.value_C[open_C]
        best = open_C[rank_in_group(level.children.beam_C[open_C], key_C) == 0]
        grown = self._grow(level, best)
        below = self._levels[depth + 1]
        self._levels[depth + 1] = _join(self._policy, below, grown)
        self._visit(depth, level.children.beam_C[best])

    def _visit(self, depth: int, place_D: Ints) -> None:
        """Count an expansion at prefixes and all that lead to them."""
        for level in self._levels[depth::-1]:
            np.add.at(level.visit_M, place_D, 1)
            place_D = level.parent_M[place_D]

    def _bounds(self, level: _Level) -> Floats:
        """Bound what the open children of prefixes may be worth; -inf where none may be expanded.

        A prefix must promise at least as much as those of its request and length do on average.
        """
        row_M, priority_M = level.beams.row_M, level.priority_M
        count_B = np.bincount(row_M, minlength=self._spent_B.size)
        sum_B = np.bincount(row_M, weights=priority_M, minlength=self._spent_B.size)
        has_open_M = np.bincount(
            level.children.beam_C, weights=level.is_open_C, minlength=row_M.size
        )
        is_promising_M = priority_M >= sum_B[row_M] / count_B[row_M] - 1e-9
        root = self._levels[0]
        visits_B = np.bincount(root.beams.row_M, weights=root.visit_M, minlength=count_B.size)
        spread_M = np.sqrt(np.log(visits_B[row_M] + 1.0) / (level.visit_M + 1.0))
        bound_M = priority_M + self._tree.exploration * spread_M
        return np.where((has_open_M > 0) & is_promising_M, bound_M, -np.inf)

    def _grow(self, level: _Level, kept_D: Ints) -> _Level:
        """Evaluate children of a level, given by position, ascending."""
        level.is_open_C[kept_D] = False
        beams = advance(level.beams, level.children, kept_D, level.value_C, level.value_C)
        prefixes = follow(self._policy, level.prefixes, level.children, kept_D)
        parent_M = level.children.beam_C[kept_D]
        return self._evaluate(beams, prefixes, parent_M, level.value_C[kept_D])

    def _evaluate(self, beams: Beams, prefixes: Any, parent_M: Ints, value_M: Floats) -> _Level:
        """Ask the policy for the codes after prefixes, and the valuer what they are worth."""
        found = extend(self._policy, prefixes, self._trie, self._requests.eligible, beams)
        np.add.at(self._spent_B, beams.row_M, 1)
        plogp_C = np.exp(found.logp_C) * found.logp_C
        entropy_M = -np.bincount(found.beam_C, weights=plogp_C, minlength=beams.row_M.size)
        return _Level(
            beams,
            parent_M,
            prefixes,
            found,
            self._child_values(beams, found),
            value_M + self._tree.entropy * entropy_M,
            np.zeros(beams.row_M.size, dtype=np.int64),
            np.ones(found.code_C.size, dtype=np.bool_),
        )

    def _child_values(self, beams: Beams, found: Extensions) -> Floats:
        """Value children; complete paths are valued by their ads, at the end."""
        if beams.code_MP.shape[1] == self._trie.num_levels - 1:
            return np.zeros(found.code_C.size)
        code_CP = np.column_stack([beams.code_MP[found.beam_C], found.code_C])
        return value_prefixes(self._valuer, self._state, beams.row_M[found.beam_C], code_CP)


def _join(policy: JoiningPolicy, one: _Level, other: _Level) -> _Level:
    """Put two parts of a level together."""
    offset = one.beams.row_M.size
    shifted = other.children._replace(beam_C=other.children.beam_C + offset)
    return _Level(
        Beams(*_concatenate(one.beams, other.beams)),
        np.concatenate([one.parent_M, other.parent_M]),
        policy.join([one.prefixes, other.prefixes]),
        Extensions(*_concatenate(one.children, shifted)),
        np.concatenate([one.value_C, other.value_C]),
        np.concatenate([one.priority_M, other.priority_M]),
        np.concatenate([one.visit_M, other.visit_M]),
        np.concatenate([one.is_open_C, other.is_open_C]),
    )


def _concatenate(one: tuple[Any, ...], other: tuple[Any, ...]) -> list[Any]:
    """Put columns of two structures together."""
    return [np.concatenate(pair) for pair in zip(one, other, strict=True)]
