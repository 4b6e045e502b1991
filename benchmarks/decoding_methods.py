"""Ways to make a list of ads out of one policy, and what each of them evaluates.

Letters: B requests, A ads by rank, K places of a list, N flat rows, L levels, P codes so far.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.study_days import StudyDay
from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.evaluation.floors import fit_popularity
from gpr_core.evaluation.policies import load_policy
from gpr_core.evaluation.ranked_ads import NO_AD, RankedAds, top_ads
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.leaf_ads import predict_values
from gpr_core.generation.post_filter import decode_then_filter
from gpr_core.generation.protocols import Candidates, DecodeRequests, ItemProbabilities
from gpr_core.generation.value_guided import decode
from gpr_core.generation.variants import at_load, plain_beam
from gpr_core.models.gpr import GPR
from gpr_core.models.states import ReadoutState

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Served = TypeVar("Served")

LOADS = (0.0, 0.5)
_BATCH = 64


@dataclass(slots=True)
class Evaluated:
    """Rows that a policy was asked about.

    Attributes:
        prefixes: Prefixes whose next codes it scored.
        valued_prefixes: Prefixes that it valued.
        valued_ads: Ads whose outcomes it predicted.
        megaflop: Millions of multiplications and additions for a request of the first batch.
    """

    prefixes: int = 0
    valued_prefixes: int = 0
    valued_ads: int = 0
    megaflop: float = 0.0

    def per_request(self, num_requests: int) -> dict[str, float]:
        """Average over requests.

        Args:
            num_requests: Requests that were served.

        Returns:
            Name -> rows of a request, and its operations.
        """
        rows = {name: count / num_requests for name, count in asdict(self).items()}
        return {**rows, "megaflop": self.megaflop}


class CountingPolicy:
    """A policy and valuer that counts the rows it is asked about.

    Args:
        model: Answers.

    Attributes:
        head_weights_J: [J] float, weights of the heads.
        value_mean: Scalar mean of final values.
        value_std: Scalar standard deviation of final values.
        evaluated: Rows so far.
    """

    def __init__(self, model: GPR) -> None:
        self._model = model
        self.head_weights_J = model.head_weights_J
        self.value_mean, self.value_std = model.value_mean, model.value_std
        self.evaluated = Evaluated()

    def read(self, batch: Any) -> Any:
        """Encode timelines; see `Policy`."""
        return self._model.read(batch)

    def begin(self, state: Any, rows_N: Tensor, heads_N: Tensor) -> Any:
        """Start paths; see `Policy`."""
        self.evaluated.prefixes += len(rows_N)
        return self._model.begin(state, rows_N, heads_N)

    def extend(self, prefixes: Any, parents_N: Tensor, codes_N: Tensor) -> Any:
        """Choose the next code of prefixes; see `Policy`."""
        self.evaluated.prefixes += len(codes_N)
        return self._model.extend(prefixes, parents_N, codes_N)

    def child_logits(self, prefixes: Any) -> Tensor:
        """Score the next codes of prefixes; see `Policy`."""
        return self._model.child_logits(prefixes)

    def prefix_values(self, state: Any, rows_N: Tensor, codes_NP: Tensor) -> Tensor:
        """Value prefixes; see `Valuer`."""
        self.evaluated.valued_prefixes += len(rows_N)
        return self._model.prefix_values(state, rows_N, codes_NP)

    def item_values(
        self, state: Any, rows_N: Tensor, paths_NL: Tensor, ad_features_NF: Tensor
    ) -> ItemProbabilities:
        """Predict the outcomes of showing ads; see `Valuer`."""
        self.evaluated.valued_ads += len(rows_N)
        return self._model.item_values(state, rows_N, paths_NL, ad_features_NF)


class Setting(NamedTuple):
    """How many ads are asked for, and how many beams the value-guided search keeps.

    Attributes:
        num_candidates: Ads K.
        width_factors: Beams per level and head, as multiples of K; one per level.
    """

    num_candidates: int
    width_factors: tuple[float, ...]

    @property
    def name(self) -> str:
        """Name in tables."""
        factors = "-".join(f"{factor:g}" for factor in self.width_factors)
        return f"K={self.num_candidates} widths={factors}"

    def beam(self) -> BeamConfig:
        """Give the value-guided search; the exact path for few eligible ads is off."""
        return BeamConfig(
            num_candidates=self.num_candidates,
            width_factors=self.width_factors,
            exhaustive_factor=0,
        )


class Listed(NamedTuple):
    """What a method lists.

    Attributes:
        ads: [B, K] lists.
        evaluated: What it asked the policy about; None for a method that asks for nothing.
        widths: Beams per level and head; empty for a method without beams.
    """

    ads: RankedAds
    evaluated: Evaluated | None = None
    widths: tuple[int, ...] = ()


class Scored(NamedTuple):
    """A method that orders all eligible ads.

    Attributes:
        score_BA: [B, A] float64, best first.
        evaluated: What it asked the policy about; None for a method that asks for nothing.
    """

    score_BA: Floats
    evaluated: Evaluated | None = None


class _Reading(NamedTuple):
    """Some requests as the policy has read them."""

    rows_B: Ints
    requests: DecodeRequests
    state: ReadoutState


class DayDecoders:
    """All ways to list ads for the requests of one day, out of the day's fine-tuned policy.

    Args:
        day: A made day.
    """

    def __init__(self, day: StudyDay) -> None:
        self.day = day.next_day
        policy = load_policy(day.checkpoint("vaft"), self.day.catalog, self.day.store, device="cpu")
        # The counter of operations does not take views of weights that want a gradient.
        self._model, tables = policy.model.requires_grad_(False), self.day.catalog.catalog
        self._trie, self._ads = tables.trie, tables.ads
        popularity = fit_popularity(self.day, day.params.evaluation, cutoff_ts=day.cutoff_ts)
        self._popularity_BA = popularity.score(len(self.day.eligible_BA))
        self._readings = [self._read(rows_B, policy.max_tokens) for rows_B in self._batches()]

    @torch.no_grad()
    def predicted_values(self) -> Scored:
        """Predict the final value of all eligible ads.

        Returns:
            The values, -inf where an ad may not serve, and what that cost.
        """
        value_BA = np.full(self.day.eligible_BA.shape, -np.inf)
        policy = CountingPolicy(self._model)

        def run(reading: _Reading) -> None:
            rows_B, requests, state = reading
            row, rank = np.nonzero(self.day.eligible_BA[rows_B])
            found = predict_values(policy, state, requests, self._ads, self._trie, (row, rank))
            value_BA[rows_B[row], rank] = found.final_value_M

        self._serve(policy, run)
        return Scored(value_BA, policy.evaluated)

    def list_all(self, setting: Setting, limits: Mapping[str, Scored]) -> dict[str, Listed]:
        """Let every method list ads.

        Args:
            setting: Ads asked for and widths.
            limits: Name -> scores of methods that order all eligible ads.

        Returns:
            Method -> what it lists. The searches that are compared with the value-guided one
            evaluate at least as many prefixes as it does.
        """
        guided = setting.beam()
        widths = tuple(guided.width(level) for level in range(self._trie.num_levels))
        plain = plain_beam(guided)
        found = {"value_guided": self._search(guided, widths)}
        asked = found["value_guided"].evaluated or Evaluated()

        def matched(beam: BeamConfig, cost: str = "prefixes", **how: bool) -> Listed:
            return widen(
                lambda tried: self._search(beam, tried, **how),
                widths,
                cost,
                getattr(asked, cost),
            )

        # Parts of the value-guided search; without a bonus at the last level few ads are valued.
        for name, part in (
            ("value_guided_bonus_only", replace(guided, share_by_value=False)),
            ("value_guided_shares_only", replace(guided, value_bonus=(0.0,))),
        ):
            found[name] = self._search(part, widths)
        for load in LOADS:
            lighter = at_load(guided, load)
            wider = tuple(lighter.width(level) for level in range(len(widths)))
            found[f"value_guided_at_load_{load:g}"] = self._search(lighter, wider)
        same = -(-sum(widths[:-1]) // (len(widths) - 1))
        found["value_guided_equal_widths"] = widen(
            lambda tried: self._search(guided, tried),
            (*[same] * (len(widths) - 1), widths[-1]),
            "prefixes",
            asked.prefixes,
        )
        found["plain_trie"] = matched(plain)
        by_probability = replace(plain, order="retrieval")
        found["plain_trie_by_probability"] = matched(by_probability)
        found["plain_trie_values_all_leaves"] = matched(plain, keeps_all_leaves=True)
        found["plain_trie_pays_for_values"] = matched(plain, "megaflop", keeps_all_leaves=True)
        found["post_filter"] = matched(plain, filters=True)
        found["post_filter_longer_list"] = matched(plain, filters=True, cuts_after_filter=True)
        floors = {"popularity": Scored(self._popularity_BA), "random": Scored(self._random())}
        for name, (score_BA, evaluated) in {**limits, **floors}.items():
            ads = top_ads(score_BA, self.day.eligible_BA, setting.num_candidates)
            found[name] = Listed(ads, evaluated)
        return found

    def _search(
        self,
        beam: BeamConfig,
        widths: Sequence[int],
        *,
        keeps_all_leaves: bool = False,
        filters: bool = False,
        cuts_after_filter: bool = False,
    ) -> Listed:
        """Search with given widths; leaves beyond the last width cost no prefix."""
        widths = (*widths[:-1], self._trie.num_ads if keeps_all_leaves else widths[-1])
        policy, asked = CountingPolicy(self._model), beam.num_candidates
        if cuts_after_filter:
            listed = widths[-1] * beam.leaf_ads * policy.head_weights_J.numel()
            beam = replace(beam, num_candidates=listed)
        factors = tuple(width / beam.num_candidates for width in widths)
        beam = replace(beam, width_factors=factors)
        generate = decode_then_filter if filters else decode

        def run(reading: _Reading) -> tuple[Ints, Candidates]:
            given = (reading.state, reading.requests, self._trie, self._ads, beam)
            return reading.rows_B, generate(policy, policy, *given)

        ads = collect(self._serve(policy, run), len(self.day.eligible_BA), asked)
        return Listed(ads, policy.evaluated, widths)

    def _serve(self, policy: CountingPolicy, run: Callable[[_Reading], Served]) -> list[Served]:
        """Serve all requests, and count the operations of the first batch."""
        first, *others = self._readings
        with FlopCounterMode(display=False) as counter:
            served = [run(first)]
        policy.evaluated.megaflop = counter.get_total_flops() / len(first.rows_B) / 1e6
        return served + [run(reading) for reading in others]

    @torch.no_grad()
    def _read(self, rows_B: Ints, max_tokens: int) -> _Reading:
        """Read the journeys of some requests."""
        requests = self.day.simulator.decode_requests(rows_B)
        timelines = self.day.store.prefix_batch(requests.request_key_B, max_tokens)
        return _Reading(rows_B, requests, self._model.read(timelines))

    def _batches(self) -> list[Ints]:
        """Cut the requests into batches."""
        rows = np.arange(len(self.day.eligible_BA))
        return np.split(rows, np.arange(_BATCH, rows.size, _BATCH))

    def _random(self) -> Floats:
        """Draw scores that say nothing."""
        request_B = self.day.column("request_key").astype(np.uint64)
        ad_key_A = self._ads.ad_key_A.astype(np.uint64)
        return keyed_uniform(0, "decoding_quality", request_B[:, None], ad_key_A[None, :])


def widen(
    search: Callable[[tuple[int, ...]], Listed],
    widths: tuple[int, ...],
    cost: str,
    least: float,
) -> Listed:
    """Widen a search by one beam per level until it costs enough.

    Args:
        search: Searches with given widths.
        widths: Widths to start from.
        cost: What is compared: `prefixes` or `megaflop`.
        least: What it has to cost.

    Returns:
        The first that does, or the widest there is: one that leaves no path out.
    """
    found = search(widths)
    spent, before = _spent(found, cost), -1.0
    while before < spent < least:
        widths = tuple(width + 1 for width in widths)
        found, before = search(widths), spent
        spent = _spent(found, cost)
    return found


def collect(
    parts: Iterable[tuple[Ints, Candidates]], num_requests: int, num_candidates: int
) -> RankedAds:
    """Put flat candidates into padded lists.

    Args:
        parts: (rows [B] int64 of some requests, their candidates).
        num_requests: Requests in all.
        num_candidates: Longest list K; what lies behind is cut.

    Returns:
        The lists.
    """
    shape = (num_requests, num_candidates)
    ads = RankedAds(np.full(shape, NO_AD, dtype=np.int64), np.full(shape, -np.inf))
    for rows_B, found in parts:
        kept = found.select(found.position_M < num_candidates)
        row, place = rows_B[kept.row_M.numpy()], kept.position_M.numpy()
        ads.rank_BK[row, place] = kept.rank_M.numpy()
        ads.score_BK[row, place] = kept.score_M.numpy()
    return ads


def _spent(found: Listed, cost: str) -> float:
    """Say what a search cost."""
    return float(getattr(found.evaluated, cost)) if found.evaluated else 0.0
