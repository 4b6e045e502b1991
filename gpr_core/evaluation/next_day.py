"""The day after training, as every method meets it: requests, history, eligibility, truth.

What a request may look at is everything that became known before it, the same day included;
whatever is fitted (weights, rankers, bucket edges, rates, popularity) comes from training days.

Letters: B requests, A ads by rank, H remembered exposures, M exposures.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpr_core.catalog.eligibility import request_context
from gpr_core.catalog.shown_counts import ShownCounts
from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.evaluation.catalogs import EvaluationCatalog
from gpr_core.features.corpus import CuratedDays
from gpr_core.features.legal_sets import pair_eligible
from gpr_core.features.timeline_store import TimelineStore
from gpr_core.simulation.ledger import Ledger
from gpr_core.simulation.ranker_features import RankerFeatures, ad_events, organic_events
from gpr_core.simulation.rollout import Simulator
from gpr_core.simulation.snapshot import Snapshot, load_snapshot, sequence_keys
from gpr_core.support.errors import ContractError

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_BATCH = 256


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Exposures:
    """Past exposures, sorted by user and time.

    Attributes:
        user_M: [M] int64 true user key.
        ts_M: [M] int64 epoch ms of the exposure.
        rank_M: [M] int64 catalog rank of the ad.
    """

    user_M: Ints
    ts_M: Ints
    rank_M: Ints

    def before(self, cutoff_ts: int) -> "Exposures":
        """Keep what was shown before a time.

        Args:
            cutoff_ts: Epoch ms, exclusive.

        Returns:
            The earlier exposures.
        """
        keep = self.ts_M < cutoff_ts
        return Exposures(user_M=self.user_M[keep], ts_M=self.ts_M[keep], rank_M=self.rank_M[keep])

    def recent(self, user_B: Ints, ts_B: Ints, count: int) -> Ints:
        """List the ads that users were last shown before given times.

        Args:
            user_B: [B] int64.
            ts_B: [B] int64 epoch ms, exclusive.
            count: How many to remember H.

        Returns:
            [B, H] int64 catalog ranks, most recent first; -1 pads.
        """
        users, times = np.unique(self.user_M), np.unique(self.ts_M)
        width = times.size + 1
        key_M = np.searchsorted(users, self.user_M) * width + np.searchsorted(times, self.ts_M)
        user_idx_B = np.searchsorted(users, user_B)
        end_B = np.searchsorted(key_M, user_idx_B * width + np.searchsorted(times, ts_B))
        start_B = np.searchsorted(key_M, user_idx_B * width)
        place_BH = end_B[:, None] - 1 - np.arange(count)
        is_known_B = np.isin(user_B, users)
        inside_BH = (place_BH >= start_B[:, None]) & is_known_B[:, None]
        if not self.rank_M.size:
            return np.full(place_BH.shape, -1)
        return np.where(inside_BH, self.rank_M[np.maximum(place_BH, 0)], -1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NextDay:
    """Everything that all methods share on the evaluation day.

    Attributes:
        requests: Evaluated decisions, sorted by (ts, request_key).
        catalog: Reference catalog; all ranks are its ranks unless said otherwise.
        simulator: Frozen rankers and rules over the day's requests and history.
        timelines: Tokens through the evaluation day.
        store: The same in the semantic ids of the reference catalog.
        thoughts: External knowledge as of the start of the day; None where nobody asked for it.
        exposures: What was shown, through the evaluation day.
        eligible_BA: [B, A] bool, exact eligibility.
        shown: Earlier impressions of ads to the users.
        truth_B: [B] int64, rank of the ad that was shown; -1 if the catalog lacks it.
        is_new_B: [B] bool, the user had not been shown that ad before.
    """

    requests: pa.Table
    catalog: EvaluationCatalog
    simulator: Simulator
    timelines: pa.Table
    store: TimelineStore
    thoughts: pa.Table | None
    exposures: Exposures
    eligible_BA: Bools
    shown: ShownCounts
    truth_B: Ints
    is_new_B: Bools

    def column(self, name: str) -> Ints:
        """Read an integer column of the requests.

        Args:
            name: Column.

        Returns:
            [B] int64.
        """
        return np.asarray(self.requests[name].to_numpy()).astype(np.int64)

    def store_in(self, catalog: EvaluationCatalog) -> TimelineStore:
        """Read the timelines in the semantic ids of another tokenizer.

        Args:
            catalog: All items under that tokenizer.

        Returns:
            The same tokens and the same external knowledge.

        Raises:
            ContractError: If an item has no semantic id.
        """
        return _store(self.timelines, catalog, self.thoughts)

    def truth_eligible(self) -> Bools:
        """Say for which requests the shown ad counts as eligible.

        Returns:
            [B] bool.
        """
        rows = np.arange(len(self.truth_B))
        return np.asarray((self.truth_B >= 0) & self.eligible_BA[rows, self.truth_B])


def prepare_next_day(
    curated: CuratedDays,
    catalog: EvaluationCatalog,
    snapshot: Path,
    *,
    max_requests: int,
    max_tokens: int,
    seed: int,
    thoughts: pa.Table | None = None,
) -> NextDay:
    """Set the evaluation day up.

    Args:
        curated: Tables through the evaluation day; its decisions are of that day.
        catalog: All items under the run's tokenizer.
        snapshot: Folder of the simulator snapshot, whose rankers and rules are used.
        max_requests: Requests to keep, a keyed sample when there are more.
        max_tokens: Longest sequence that the simulator's own readers may ask for.
        seed: Run seed.
        thoughts: External knowledge as of the start of the day; None where nobody asked for it.

    Returns:
        The day.

    Raises:
        ArtifactError: If the snapshot is damaged or of another tokenizer.
        ContractError: If a request has no timeline.
        LeakageError: If a thought knows its own day.
    """
    requests = choose_requests(curated.decisions, max_requests=max_requests, seed=seed)
    frozen = load_snapshot(snapshot, tokenizer_version=catalog.tokenizer_version)
    impressions = shown_impressions(curated.canonical)
    trie = catalog.catalog.trie
    store = _store(curated.timelines, catalog, thoughts)
    today = _snapshot_of_the_day(frozen, requests, impressions, curated.timelines, catalog)
    simulator = Simulator(
        snapshot=replace(today, thoughts=thoughts),
        prefixes=lambda keys: store.prefix_batch(keys, max_tokens),
    )
    truth_B = trie.rank_of_ads(requests["ad_key"].to_numpy()).numpy()
    user_B, ts_B = (requests[name].to_numpy().astype(np.int64) for name in ("user_key", "ts"))
    ledger = simulator.snapshot.ledger
    shown_B = ledger.shown_pairs(user_B, np.maximum(truth_B, 0), ts_B)
    return NextDay(
        requests=requests,
        catalog=catalog,
        simulator=simulator,
        timelines=curated.timelines,
        store=store,
        thoughts=thoughts,
        exposures=_exposures(impressions, catalog),
        eligible_BA=_eligibility(simulator, trie.num_ads),
        shown=ledger.shown_before(user_B, ts_B),
        truth_B=truth_B,
        is_new_B=(truth_B >= 0) & (shown_B == 0),
    )


def choose_requests(decisions: pa.Table, *, max_requests: int, seed: int) -> pa.Table:
    """Take the real requests of a day, or a keyed sample of them.

    Args:
        decisions: Decisions of the day.
        max_requests: How many to keep at most.
        seed: Run seed.

    Returns:
        Sorted by (ts, request_key); rehearsed (synthetic) requests are left out.
    """
    real = decisions.filter(pc.invert(decisions["is_synthetic"]))
    draw = keyed_uniform(seed, "evaluation_requests", real["request_key"].to_numpy())
    chosen = real.take(np.sort(np.argsort(draw, kind="stable")[:max_requests]))
    order = [("ts", "ascending"), ("request_key", "ascending")]
    return chosen.sort_by(order).combine_chunks()


def shown_impressions(canonical: Mapping[str, pa.Table]) -> pa.Table:
    """List impressions with their user.

    Args:
        canonical: Curated tables requests and impressions.

    Returns:
        Columns user_key, ad_key, ts (exposure, epoch ms) and price_micros, synthetic requests
        left out.

    Raises:
        ContractError: If no impression is left.
    """
    requests = canonical["requests"].filter(pc.invert(canonical["requests"]["is_synthetic"]))
    impressions = canonical["impressions"]
    row = pc.index_in(impressions["request_key"], value_set=requests["request_key"])
    is_known = pc.is_valid(row)
    impressions, row = impressions.filter(is_known), row.drop_null()
    if not impressions.num_rows:
        raise ContractError(
            "there is no impression with a known request",
            where="evaluation history",
            fix="check the landing of requests and impressions",
        )
    return pa.table(
        {
            "user_key": requests["user_key"].take(row),
            "ad_key": impressions["ad_key"],
            "ts": impressions["exposure_ts"],
            "price_micros": impressions["price_micros"],
        }
    )


def illegal_by_rules(day: NextDay, row_M: Ints, rank_M: Ints) -> Bools:
    """Check (request, ad) pairs by another computation than the one that masked the search.

    Args:
        day: The evaluation day.
        row_M: [M] int64 request.
        rank_M: [M] int64 catalog rank.

    Returns:
        [M] bool, True where status, time, targeting, budget, cap or rules forbid the ad.
    """
    context = request_context(day.requests)
    targeted_M = pair_eligible(day.catalog.catalog.ads, context, row_M, rank_M)
    return np.asarray(~(targeted_M & day.eligible_BA[row_M, rank_M]))


def _store(
    timelines: pa.Table, catalog: EvaluationCatalog, thoughts: pa.Table | None
) -> TimelineStore:
    """Load timelines as the policies read them."""
    num_levels = catalog.catalog.trie.num_levels
    return TimelineStore.from_tables(timelines, catalog.sid_map, num_levels, thoughts=thoughts)


def _snapshot_of_the_day(
    frozen: Snapshot,
    requests: pa.Table,
    impressions: pa.Table,
    timelines: pa.Table,
    catalog: EvaluationCatalog,
) -> Snapshot:
    """Put the day's requests and history under the frozen rankers and rules."""
    ads, trie = catalog.catalog.ads, catalog.catalog.trie
    ad_rows = ad_events(timelines)
    features = RankerFeatures.build(ad_rows, organic_events(timelines), ads, trie)
    return replace(
        frozen,
        catalog=catalog.catalog,
        requests=requests,
        sequence_key_B=sequence_keys(requests, timelines),
        timelines=timelines,
        ad_rows=ad_rows,
        ledger=Ledger.build(impressions, trie),
        # Rates that smooth rare keys are fitted numbers: they stay those of the training days.
        features=replace(features, base_rates=frozen.features.base_rates),
    )


def _eligibility(simulator: Simulator, num_ads: int) -> Bools:
    """Compute the eligibility of all requests, some at a time."""
    eligible_BA = np.zeros((simulator.num_requests, num_ads), dtype=np.bool_)
    for start in range(0, simulator.num_requests, _BATCH):
        rows_B = np.arange(start, min(start + _BATCH, simulator.num_requests))
        eligible_BA[rows_B] = simulator.decode_requests(rows_B).eligible.mask()
    return eligible_BA


def _exposures(impressions: pa.Table, catalog: EvaluationCatalog) -> Exposures:
    """Sort impressions by user and time; ads outside the catalog are left out."""
    user, key, ts = (
        impressions[name].to_numpy().astype(np.int64) for name in ("user_key", "ad_key", "ts")
    )
    rank = catalog.catalog.trie.rank_of_ads(key).numpy()
    known = np.flatnonzero(rank >= 0)
    order = known[np.lexsort((ts[known], user[known]))]
    return Exposures(user_M=user[order], ts_M=ts[order], rank_M=rank[order])
