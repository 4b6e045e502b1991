"""Value-guided beam search on the trie: the decoder.

Values steer which prefixes survive, not only the final order: the width of a level is shared among
prefixes by their value, and the score of an extension carries a bonus for the value of the child.
Leaves have the values of their ads, and survive by them where these order the list.
Every emitted ad exists, is eligible for its request and occurs once; a request with fewer eligible
ads gets a shorter list. Nothing here loops over requests, beams or nodes.

Letters: B requests, A ads by rank, J heads, L levels, M flat beams, C flat children, D flat
children that survive.
Source: specification 5.2 (the paper describes value guidance and gives no algorithm).
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.trie import Trie
from gpr_core.generation.beam import (
    Beams,
    Extensions,
    Floats,
    Ints,
    ObservedLevel,
    Observer,
    advance,
    begin,
    enter_root,
    extend,
    follow,
    value_prefixes,
    weights_of_heads,
)
from gpr_core.generation.beam_width import allocate_width
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.gumbel import gumbel_noise, perturb_children
from gpr_core.generation.leaf_ads import (
    AdValues,
    eligible_ads_below,
    emit,
    predict_values,
    standardized_leaf_values,
    unite_heads,
)
from gpr_core.generation.ordering import best_of_groups
from gpr_core.generation.protocols import (
    Candidates,
    DecodeRequests,
    Policy,
    Valuer,
    concat_candidates,
    no_candidates,
)
from gpr_core.support.errors import ShapeError


@torch.no_grad()
def decode(  # noqa: PLR0913 - two of nine are options of the call
    policy: Policy,
    valuer: Valuer,
    state: Any,
    requests: DecodeRequests,
    trie: Trie,
    ad_table: AdTable,
    config: BeamConfig,
    *,
    seed: int = 0,
    observe: Observer | None = None,
) -> Candidates:
    """Generate the best ads for a batch of requests.

    Args:
        policy: Proposes codes.
        valuer: Values prefixes and ads; often the same object.
        state: What `policy.read` returned; row r belongs to request r.
        requests: The requests and their exact eligibility.
        trie: The catalog's tree, on the host.
        ad_table: Attributes of the ads, in the rank order of the tree.
        config: Parameters.
        seed: Seed of the draws of mode gumbel; without effect in mode beam.
        observe: Is shown each level after its cut; changes no candidate.

    Returns:
        Candidates sorted by request, best first, on the host.

    Raises:
        ShapeError: If requests, state and catalog do not fit each other.
    """
    eligible = requests.eligible
    num_requests = eligible.num_requests
    if eligible.num_ads != trie.num_ads or not len(requests.ts_B) == num_requests == len(
        requests.request_key_B
    ):
        raise ShapeError(
            f"eligibility is {num_requests} x {eligible.num_ads}, the catalog has {trie.num_ads} "
            f"ads and there are {len(requests.ts_B)} times",
            where="decode",
            fix="compute eligibility with the same catalog and requests",
        )
    search = _Search(
        policy=policy,
        valuer=valuer,
        state=state,
        requests=requests,
        trie=trie,
        ad_table=ad_table,
        config=config,
        seed=seed,
        observe=observe,
    )
    is_small_B = eligible.totals() <= config.exhaustive_factor * config.num_candidates
    parts = [
        search.run(np.flatnonzero(rows_B), exhaustive=exhaustive)
        for rows_B, exhaustive in ((is_small_B, True), (~is_small_B, False))
        if rows_B.any()
    ]
    return concat_candidates(parts) if parts else no_candidates(trie)


class _Choice(NamedTuple):
    """What survives a level: positions among the extensions, and the numbers of all of them."""

    kept_D: Ints
    draw_C: Floats
    value_C: Floats
    score_C: Floats
    cut_C: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    """One decode: everything that stays the same from level to level."""

    policy: Policy
    valuer: Valuer
    state: Any
    requests: DecodeRequests
    trie: Trie
    ad_table: AdTable
    config: BeamConfig
    seed: int
    observe: Observer | None

    @property
    def num_heads(self) -> int:
        """Heads J."""
        return int(self.policy.head_weights_J.numel())

    def run(self, rows_B: Ints, *, exhaustive: bool) -> Candidates:
        """Serve some of the requests; exhaustively means no legal path is ever cut."""
        beams = enter_root(self.requests.eligible, rows_B, self.num_heads)
        if not beams.row_M.size:
            return no_candidates(self.trie)
        prefixes = begin(self.policy, self.state, beams)
        if self.config.mode == "gumbel":
            beams = self._with_root_draws(beams)
        values = None
        for level in range(self.trie.num_levels):
            is_last = level == self.trie.num_levels - 1
            needs_value = not exhaustive and self.config.bonus(level) > 0
            if is_last and needs_value:
                values = self._ad_values(beams)
            found = extend(self.policy, prefixes, self.trie, self.requests.eligible, beams)
            step = self._choose(beams, found, level, values, exhaustive=exhaustive)
            if self.observe is not None:
                self.observe.see(self._observed(beams, found, level, step, exhaustive=exhaustive))
            beams = advance(beams, found, step.kept_D, step.draw_C, step.value_C)
            if not is_last:
                prefixes = follow(self.policy, prefixes, found, step.kept_D)
        paths, score_M = unite_heads(
            beams, weights_of_heads(self.policy), self.trie, by_draw=self.config.mode == "gumbel"
        )
        values = values if values is not None else self._ad_values(paths)
        return emit(paths, score_M, values, self.trie, self.ad_table, self.config)

    def _choose(
        self,
        beams: Beams,
        found: Extensions,
        level: int,
        values: AdValues | None,
        *,
        exhaustive: bool,
    ) -> _Choice:
        """Cut the extensions of a level to its width."""
        config = self.config
        logp_C = beams.logp()[found.beam_C] + found.logp_C
        draw_C = np.zeros_like(logp_C)
        if config.mode == "gumbel":
            draw_C = self._draws(beams, found, logp_C)
        score_C = draw_C if config.mode == "gumbel" else logp_C
        if exhaustive:
            return _Choice(np.arange(logp_C.size), draw_C, np.zeros_like(logp_C), score_C, score_C)
        width, group_M = config.width(level), self._group(beams)
        kept, value_C, cut_C = np.arange(logp_C.size), np.zeros_like(logp_C), score_C
        if values is None and config.share_by_value:
            # Values cost more than probabilities: a prefix's improbable children have none.
            allowed_M = self._shares(beams, found, group_M, width)
            kept = best_of_groups(found.beam_C, allowed_M, score_C)
        if config.bonus(level):
            value_C[kept] = self._child_values(beams, found, kept, level, values)
            cut_C = score_C + config.bonus(level) * value_C
        if values is not None and config.order == "auction":
            # Leaves whose ads are valued compete by what the list will be ordered by.
            cut_C = value_C
        group_C, limit_G = group_M[found.beam_C], np.full(int(group_M[-1]) + 1, width)
        kept = _best(kept, group_C, limit_G, (cut_C, logp_C))
        if not config.bonus(level) and config.share_by_value:
            # Values did not decide here, but they share the width of the next level.
            value_C[kept] = self._child_values(beams, found, kept, level, values)
        return _Choice(kept, draw_C, value_C, score_C, cut_C)

    def _observed(
        self, beams: Beams, found: Extensions, level: int, step: _Choice, *, exhaustive: bool
    ) -> ObservedLevel:
        """Describe a level for the observer."""
        return ObservedLevel(
            level=level,
            beams=beams,
            found=found,
            kept_D=step.kept_D,
            score_C=step.score_C,
            value_C=step.value_C,
            cut_C=step.cut_C,
            group_M=self._group(beams),
            width=None if exhaustive else self.config.width(level),
        )

    def _group(self, beams: Beams) -> Ints:
        """Number what shares the width of a level: a head of a request, or, in a sample, all."""
        if self.config.mode == "gumbel":
            return beams.row_M
        return beams.row_M * self.num_heads + beams.head_M

    def _shares(self, beams: Beams, found: Extensions, group_M: Ints, width: int) -> Ints:
        """Say how many children of each beam may survive."""
        return allocate_width(
            beams.value_M,
            group_M,
            found.legal_count_M,
            width=width,
            temperature=self.config.width_temperature,
            over_generation=self.config.over_generation,
        )

    def _child_values(
        self,
        beams: Beams,
        found: Extensions,
        considered: Ints,
        level: int,
        values: AdValues | None,
    ) -> Floats:
        """Value some extensions, standardized; zeros where no later decision asks for it."""
        num_levels = self.trie.num_levels
        beam_C, node_C = found.beam_C[considered], found.node_C[considered]
        row_C = beams.row_M[beam_C]
        if level == num_levels - 1:
            if values is None:
                return np.zeros(beam_C.size)
            return standardized_leaf_values(values, self.valuer, self.trie, row_C, node_C)
        code_CP = np.column_stack([beams.code_MP[beam_C], found.code_C[considered]])
        if self.num_heads == 1:
            return value_prefixes(self.valuer, self.state, row_C, code_CP)
        # Heads share prefixes and values do not depend on the head: each is computed once.
        entry_C = row_C * self.trie.num_nodes + node_C
        _, first_U, inverse_C = np.unique(entry_C, return_index=True, return_inverse=True)
        value_U = value_prefixes(self.valuer, self.state, row_C[first_U], code_CP[first_U])
        return value_U[inverse_C]

    def _ad_values(self, beams: Beams) -> AdValues:
        """Predict the value of all eligible ads below beams."""
        pairs = eligible_ads_below(self.trie, self.requests.eligible, beams.row_M, beams.node_M)
        return predict_values(
            self.valuer, self.state, self.requests, self.ad_table, self.trie, pairs
        )

    def _with_root_draws(self, beams: Beams) -> Beams:
        """Perturb the choice of the head, the first choice of a sample."""
        noise_M = self._noise(beams.row_M, beams.head_M, beams.node_M)
        return beams._replace(draw_M=np.log(weights_of_heads(self.policy))[beams.head_M] + noise_M)

    def _draws(self, beams: Beams, found: Extensions, logp_C: Floats) -> Floats:
        """Perturb the extensions of beams."""
        head_C = beams.head_M[found.beam_C]
        noise_C = self._noise(beams.row_M[found.beam_C], head_C, found.node_C)
        joint_C = np.log(weights_of_heads(self.policy))[head_C] + logp_C
        return perturb_children(beams.draw_M, found.beam_C, joint_C, noise_C)

    def _noise(self, row_C: Ints, head_C: Ints, node_C: Ints) -> Floats:
        """Draw keyed noise for (request, head, node) triples."""
        return gumbel_noise(self.seed, self.requests.request_key_B[row_C], head_C, node_C)


def _best(among: Ints, group_C: Ints, limit_G: Ints, keys_C: tuple[Floats, ...]) -> Ints:
    """Keep the best extensions of every group among some, given and returned as positions."""
    some = best_of_groups(group_C[among], limit_G, *(key_C[among] for key_C in keys_C))
    return among[some]
