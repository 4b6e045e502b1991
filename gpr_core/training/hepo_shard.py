"""Rollouts as HEPO trains on them: candidates of whole requests with rewards and preferences.

Letters: B requests, S successes, M flat candidates, L levels, C coarse levels (L - 1), N trie
nodes.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gpr_core.catalog.legality import legal_codes
from gpr_core.data.tables import Action
from gpr_core.generation.path_logp import distinct_prefixes, prefix_nodes
from gpr_core.objectives.advantages import hepo_advantages, returns_to_go
from gpr_core.objectives.process_reward import (
    Successes,
    conditional_popularity,
    count_successes,
    preference_delta,
    process_rewards,
    sort_successes,
)
from gpr_core.simulation.as_of_counts import Ints
from gpr_core.simulation.rollout import Rollout, Simulator
from gpr_core.simulation.snapshot import Snapshot
from gpr_core.training.hepo_config import AdvantageConfig

_NOBODY = -1
_CHUNK_REQUESTS = 256


class Shard(NamedTuple):
    """Candidates of some requests; those of a request are neighbors.

    Attributes:
        row_B: [B] int64, rows of the snapshot's requests that have candidates, ascending.
        begin_B1: [B + 1] int64, candidates of request b are begin[b] .. begin[b + 1] - 1.
        owner_M: [M] int64, index into `row_B` of each candidate.
        head_M: [M] int64.
        path_ML: [M, L] int64.
        logp_ML: [M, L] float32, log-probabilities at rollout.
        choice_ML: [M, L] int64, distinct choices: (request, head, node) at coarse levels, the
            candidate at the last.
        delta_MC: [M, L - 1] float64, preference of each coarse choice (Eq 6).
        final_value_M: [M] float64, reward in eCPM units (Eq 5).
    """

    row_B: Ints
    begin_B1: Ints
    owner_M: Tensor
    head_M: Tensor
    path_ML: Tensor
    logp_ML: Tensor
    choice_ML: Tensor
    delta_MC: Tensor
    final_value_M: Tensor


class Targets(NamedTuple):
    """What the rewards of a shard come to.

    Attributes:
        reward_ML: [M, L] float64 step rewards, standardized (Eq 7).
        return_ML: [M, L] float32 returns G_l, for the critic.
    """

    reward_ML: Tensor
    return_ML: Tensor


def find_successes(snapshot: Snapshot) -> Successes:
    """List the recommendations that users clicked, once each, when the click became known.

    Args:
        snapshot: Holds the outcomes of ads known at its time.

    Returns:
        Successes with the trie nodes of their paths; a conversion follows a click and is the same
        success.
    """
    trie, rows = snapshot.catalog.trie, snapshot.ad_rows
    action, user, request, ad, ts = (
        np.asarray(rows[name].to_numpy()).astype(np.int64)
        for name in ("action", "user_key", "request_key", "ad_key", "ingest_ts")
    )
    rank = trie.rank_of_ads(ad).numpy()
    good = np.flatnonzero(((action == Action.CLICK) | (action == Action.CONVERSION)) & (rank >= 0))
    good = good[np.lexsort((ts[good], request[good]))]
    first = np.ones(good.size, dtype=bool)
    first[1:] = request[good][1:] != request[good][:-1]
    good = good[first]
    node_SL = trie.nodes_of_paths(trie.paths_of(torch.from_numpy(rank[good]))).numpy()
    return sort_successes(user[good], ts[good], node_SL)


def make_shard(simulator: Simulator, rollout: Rollout, successes: Successes) -> Shard:
    """Group candidates by request and compare their coarse choices with the user's successes.

    Requests without an eligible ad have no candidate and are left out. Private requests have no
    popularity: their users may not be followed.

    Args:
        simulator: Gives legal sets and times.
        rollout: Candidates of a sampling rollout.
        successes: From `find_successes`.

    Returns:
        The shard.
    """
    found, trie = rollout.candidates, simulator.snapshot.catalog.trie
    row_B, owner_M = np.unique(rollout.row_M, return_inverse=True)
    begin_B1 = np.searchsorted(rollout.row_M, np.append(row_B, row_B.max(initial=0) + 1))
    owner = torch.from_numpy(owner_M.astype(np.int64))
    path_ML = found.path_ML
    node_ML = trie.nodes_of_paths(path_ML)
    head_owner_M = owner * int(found.head_M.max() + 1) + found.head_M
    choice_ML = head_owner_M[:, None] * trie.num_nodes + node_ML
    choice_ML[:, -1] = torch.arange(owner.numel())
    parts = [
        _deltas(
            simulator, successes, row_B[start : start + _CHUNK_REQUESTS], owner - start, path_ML
        )
        for start in range(0, row_B.size, _CHUNK_REQUESTS)
    ]
    return Shard(
        row_B=row_B,
        begin_B1=begin_B1.astype(np.int64),
        owner_M=owner,
        head_M=found.head_M,
        path_ML=path_ML,
        logp_ML=found.logp_ML,
        choice_ML=choice_ML,
        delta_MC=torch.cat(parts),
        final_value_M=torch.from_numpy(rollout.rewards.final_value_M),
    )


def reward_targets(
    shard: Shard, config: AdvantageConfig, *, iteration: int, mean: float, std: float
) -> Targets:
    """Standardize the rewards and sum them up.

    Args:
        shard: Candidates.
        config: Factors and discount.
        iteration: 0-based iteration, which shrinks the process rewards.
        mean: Mean of final values, frozen for the snapshot.
        std: Their standard deviation, > 0.

    Returns:
        Step rewards and returns.
    """
    terminal_M = (shard.final_value_M - mean) / std
    scale_C = torch.tensor(config.scales(shard.delta_MC.shape[1], iteration), dtype=torch.float64)
    reward_ML = process_rewards(shard.delta_MC, terminal_M, scale_C)
    return Targets(reward_ML, returns_to_go(reward_ML, config.gamma).to(torch.float32))


def shard_advantages(
    shard: Shard, targets: Targets, value_ML: Tensor, config: AdvantageConfig
) -> Tensor:
    """Compute the advantages of all candidates.

    Args:
        shard: Candidates.
        targets: Their rewards.
        value_ML: [M, L] critic values, standardized.
        config: Discount, GAE and epsilon.

    Returns:
        [M, L] float32, detached.
    """
    advantage_ML = hepo_advantages(
        targets.reward_ML,
        value_ML.to(torch.float64),
        shard.owner_M,
        gamma=config.gamma,
        lam=config.lam,
        eps=config.std_eps,
    )
    return advantage_ML.to(torch.float32)


def _deltas(
    simulator: Simulator, successes: Successes, row_B: Ints, owner_M: Tensor, path_ML: Tensor
) -> Tensor:
    """Preferences [m, L - 1] of the candidates of some requests."""
    snapshot, trie = simulator.snapshot, simulator.snapshot.catalog.trie
    inside_M = (owner_M >= 0) & (owner_M < row_B.size)
    owner_M, path_ML = owner_M[inside_M], path_ML[inside_M]
    user_B = np.asarray(snapshot.requests["user_key"].to_numpy()).astype(np.int64)[row_B]
    ts_B = np.asarray(snapshot.requests["ts"].to_numpy()).astype(np.int64)[row_B]
    is_open_B = snapshot.sequence_key_B[row_B] == user_B
    count_BN = torch.from_numpy(
        count_successes(successes, np.where(is_open_B, user_B, _NOBODY), ts_B, trie.num_nodes)
    )
    eligible = simulator.decode_requests(row_B).eligible
    node_ML = prefix_nodes(trie, path_ML)
    columns = [torch.zeros((owner_M.numel(), 0), dtype=torch.float64)]
    for level in range(trie.num_levels - 1):
        shared = distinct_prefixes(owner_M, torch.zeros_like(owner_M), node_ML[:, level])
        row_U, node_U = owner_M[shared.first_U], node_ML[shared.first_U, level]
        child_UV = trie.children(node_U)
        count_UV = count_BN[row_U[:, None], child_UV.clamp(min=0)] * (child_UV >= 0)
        popularity_UV = conditional_popularity(count_UV, count_BN[row_U, node_U])
        legal_UV = legal_codes(trie, eligible, row_U, node_U)
        columns.append(
            preference_delta(
                popularity_UV[shared.inverse_M], legal_UV[shared.inverse_M], path_ML[:, level]
            ).unsqueeze(1)
        )
    return torch.cat(columns, dim=1)
