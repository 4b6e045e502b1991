"""Rollouts: what a policy proposes for the requests of a snapshot, and what it is worth there.

The reward of a candidate comes from the snapshot's rankers only. The policy's own value heads
steer its search; they never grade it (T14). Letters: B requests, A ads, L levels, M candidates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch import Tensor

from gpr_core.catalog.eligibility import eligible_ads, request_context
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.trie import Trie
from gpr_core.features.batch import TimelineBatch
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.protocols import Candidates, DecodeRequests, Policy, Valuer
from gpr_core.generation.value_guided import decode
from gpr_core.objectives.final_value import ecpm, final_value
from gpr_core.simulation.as_of_counts import Ints
from gpr_core.simulation.snapshot import Snapshot
from gpr_core.support.errors import LegalityError

ROLLOUT_COLUMNS = (
    "request_key", "cand_idx", "head_id", "path", "ad_key", "logp_old", "legal_count", "score",
    "p_ctr", "p_cvr", "p_neg", "ecpm", "fv", "is_synthetic", "snapshot_hash", "policy_hash",
)  # fmt: skip

_STRICT = 1
_FATIGUE_SCALE = 10.0
_CHUNK_REQUESTS = 64

Floats = npt.NDArray[np.float64]
Prefixes = Callable[[Ints], TimelineBatch]


class Agent(Policy, Valuer, Protocol):
    """A model that proposes and values, as generation needs it."""


class Rewards(NamedTuple):
    """What the rankers say about (request, ad) pairs.

    Attributes:
        p_ctr_M: [M] float32.
        p_cvr_M: [M] float32, given a click.
        p_neg_M: [M] float32.
        ecpm_M: [M] float64, currency per 1,000 impressions.
        final_value_M: [M] float64, eCPM units.
    """

    p_ctr_M: npt.NDArray[np.float32]
    p_cvr_M: npt.NDArray[np.float32]
    p_neg_M: npt.NDArray[np.float32]
    ecpm_M: Floats
    final_value_M: Floats


class Rollout(NamedTuple):
    """Candidates of some requests with their rewards; M rows sorted by request, best first.

    Attributes:
        row_M: [M] int64, row of the request in the snapshot.
        candidates: What the policy proposed; its `row_M` counts within the rolled-out requests.
        rewards: What it is worth.
    """

    row_M: Ints
    candidates: Candidates
    rewards: Rewards


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Simulator:
    """Replays requests of a snapshot with any policy.

    Attributes:
        snapshot: The frozen system.
        prefixes: Request keys -> what the policy may read at these requests.
        device: Where policies run.
    """

    snapshot: Snapshot
    prefixes: Prefixes
    device: str = "cpu"

    @property
    def num_requests(self) -> int:
        """Requests of the snapshot."""
        return int(self.snapshot.requests.num_rows)

    @property
    def trie(self) -> Trie:
        """The catalog's tree."""
        return self.snapshot.catalog.trie

    def read(self, rows_B: Ints) -> TimelineBatch:
        """Read what is known at requests.

        Args:
            rows_B: [B] int64 rows of the snapshot's requests.

        Returns:
            One sequence with one readout per request.
        """
        batch = self.prefixes(self._column("request_key")[rows_B])
        return TimelineBatch(*(column.to(self.device) for column in batch))

    def decode_requests(self, rows_B: Ints) -> DecodeRequests:
        """Give everything about requests that generation depends on.

        Args:
            rows_B: [B] int64 rows of the snapshot's requests.

        Returns:
            Eligibility under targeting, budgets, caps and business rules, and what was shown.
        """
        snapshot = self.snapshot
        context = request_context(snapshot.requests.take(rows_B))
        spent_today, spent_ever = snapshot.ledger.spent_before(context.ts)
        eligible_BA = eligible_ads(
            snapshot.catalog.ads,
            context,
            spent_today=spent_today,
            spent_total=spent_ever,
            shown_today=snapshot.ledger.shown_today(context),
        )
        eligible_BA &= self._admitted_by_rules(context.ts, context.privacy)
        return DecodeRequests(
            request_key_B=context.request_key,
            ts_B=context.ts,
            eligible=EligibleAds.of_mask(eligible_BA),
            shown=snapshot.ledger.shown_before(context.user_key, context.ts),
        )

    def reward(self, row_M: Ints, rank_M: Ints) -> Rewards:
        """Grade (request, ad) pairs with the rankers.

        Args:
            row_M: [M] int64 rows of the snapshot's requests.
            rank_M: [M] int64 catalog ranks.

        Returns:
            Probabilities, eCPM and final value.

        Raises:
            LegalityError: If an ad had no valid version at its request.
        """
        snapshot = self.snapshot
        table = snapshot.catalog.ads
        ts_M = self._column("ts")[row_M]
        version_M = table.version_of(ts_M, rank_M)
        if (version_M < 0).any():
            raise LegalityError(
                f"{int((version_M < 0).sum())} of {row_M.size} ads were not live at their request",
                where="simulator",
                fix="grade only candidates generated under the snapshot's eligibility",
            )
        readers = snapshot.requests.select(
            [name for name in snapshot.requests.column_names if name != "user_key"]
        ).append_column("user_key", pa.array(snapshot.sequence_key_B))
        features_MF = snapshot.features.matrix(readers, row_M, rank_M)
        p_ctr_M, p_cvr_M, p_neg_M = (
            snapshot.rankers[name].predict(features_MF).astype(np.float32)
            for name in ("ctr", "cvr", "neg")
        )
        ecpm_M = ecpm(table.bid_type_V[version_M], table.bid_micros_V[version_M], p_ctr_M, p_cvr_M)
        shown_M = snapshot.ledger.shown_pairs(self._column("user_key")[row_M], rank_M, ts_M)
        value_M = final_value(ecpm_M, p_ctr_M, p_cvr_M, p_neg_M, shown_M / _FATIGUE_SCALE)
        return Rewards(p_ctr_M, p_cvr_M, p_neg_M, ecpm_M, value_M)

    def rollout(self, agent: Agent, rows_B: Ints, config: BeamConfig, *, seed: int) -> Rollout:
        """Let a policy propose candidates for requests and grade them.

        Args:
            agent: Policy and valuer, in evaluation mode (no dropout).
            rows_B: [B] int64 rows of the snapshot's requests, ascending.
            config: How to generate; `leaf_ads` 1 gives one reward per path.
            seed: Seed of the draws; the same seed gives identical candidates.

        Returns:
            Candidates and rewards.
        """
        parts, rows = [], []
        trie = self.trie
        for start in range(0, rows_B.size, _CHUNK_REQUESTS):
            chunk_B = rows_B[start : start + _CHUNK_REQUESTS]
            requests = self.decode_requests(chunk_B)
            with torch.no_grad():
                state = agent.read(self.read(chunk_B))
            catalog = self.snapshot.catalog
            found = decode(agent, agent, state, requests, trie, catalog.ads, config, seed=seed)
            rows.append(chunk_B[found.row_M.numpy()])
            parts.append(found._replace(row_M=found.row_M + start))
        candidates = Candidates(*(torch.cat(column) for column in zip(*parts, strict=True)))
        row_M = np.concatenate(rows)
        return Rollout(row_M, candidates, self.reward(row_M, candidates.rank_M.numpy()))

    def table(self, rollout: Rollout, *, policy_hash: str) -> pa.Table:
        """Lay a rollout out as a shard.

        Args:
            rollout: From `rollout`.
            policy_hash: What made it.

        Returns:
            One row per candidate, columns as in `ROLLOUT_COLUMNS`.
        """
        found, rewards, size = rollout.candidates, rollout.rewards, rollout.row_M.size
        columns = (
            pa.array(self._column("request_key")[rollout.row_M].astype(np.uint64)),
            pa.array(found.position_M.numpy(), pa.int32()),
            pa.array(found.head_M.numpy(), pa.int8()),
            _lists(found.path_ML, pa.int16()),
            pa.array(found.ad_key_M.numpy().astype(np.uint64)),
            _lists(found.logp_ML, pa.float32()),
            _lists(found.legal_count_ML, pa.int32()),
            pa.array(found.score_M.numpy(), pa.float32()),
            *(pa.array(column) for column in rewards),
            self.snapshot.requests["is_synthetic"].take(pa.array(rollout.row_M)),
            pa.array([self.snapshot.snapshot_hash] * size, pa.string()),
            pa.array([policy_hash] * size, pa.string()),
        )
        return pa.table(dict(zip(ROLLOUT_COLUMNS, columns, strict=True)))

    def _admitted_by_rules(self, ts_B: Ints, privacy_B: Ints) -> npt.NDArray[np.bool_]:
        """Apply the bid floor and the categories closed to strict privacy: [B, A]."""
        table, rules = self.snapshot.catalog.ads, self.snapshot.rules
        version_BA = table.versions_at(ts_B)
        admitted_BA = table.bid_micros_V[version_BA] >= rules.min_bid_micros
        is_excluded_A = np.isin(table.cat_l1_A, np.array(rules.strict_excluded_categories))
        return np.asarray(admitted_BA & ~((privacy_B == _STRICT)[:, None] & is_excluded_A))

    def _column(self, name: str) -> Ints:
        """Read an integer column of the requests as int64."""
        return np.asarray(self.snapshot.requests[name].to_numpy()).astype(np.int64)


def _lists(values_ML: Tensor, dtype: pa.DataType) -> pa.ListArray:
    """Turn rows of a matrix into lists."""
    count, width = values_ML.shape
    offsets = pa.array(np.arange(count + 1) * width, pa.int32())
    flat = pa.array(values_ML.reshape(-1).numpy()).cast(dtype)
    return pa.ListArray.from_arrays(offsets, flat)
