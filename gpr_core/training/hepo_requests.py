"""Which requests HEPO trains on, how candidates are drawn, and whether they were legal."""

import numpy as np

from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.generation.config import BeamConfig
from gpr_core.simulation.as_of_counts import Ints
from gpr_core.simulation.rollout import Rollout, Simulator
from gpr_core.support.errors import ContractError
from gpr_core.training.hepo_config import HepoConfig

_CHUNK_REQUESTS = 64
# Heads may draw the same path; what is drawn beyond the candidates makes up for that.
_OVERSAMPLING = 1.5


def split_requests(simulator: Simulator, share: float, seed: int) -> tuple[Ints, Ints]:
    """Keep a keyed share of requests out of every loss.

    Args:
        simulator: Holds the requests.
        share: Share to hold out.
        seed: Run seed.

    Returns:
        (training rows, held-out rows), ascending. Rehearsed requests are never held out: they are
        no measure of anything.

    Raises:
        ContractError: If one side is empty.
    """
    requests = simulator.snapshot.requests
    key = np.asarray(requests["request_key"].to_numpy())
    is_real = ~np.asarray(requests["is_synthetic"].to_numpy(zero_copy_only=False)).astype(bool)
    is_held_out = is_real & (keyed_uniform(seed, "hepo held out", key) < share)
    rows = np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
    if not rows[0].size or not rows[1].size:
        raise ContractError(
            f"{rows[0].size} training and {rows[1].size} held-out requests",
            where="snapshot requests",
            fix="raise simulator_snapshot.num_requests, or change hepo.holdout_share",
        )
    return rows


def sampling(config: HepoConfig, advertiser_cap: int) -> BeamConfig:
    """Describe how rollouts are generated: samples without replacement, one ad per path.

    Args:
        config: Number of candidates.
        advertiser_cap: Rule of the snapshot.

    Returns:
        Parameters of generation.
    """
    return BeamConfig(
        num_candidates=config.num_candidates,
        width_factors=(_OVERSAMPLING,),
        value_bonus=(0.0,),
        share_by_value=False,
        leaf_ads=1,
        mode="gumbel",
        advertiser_cap=advertiser_cap,
    )


def eligible_share(simulator: Simulator, rollout: Rollout) -> float:
    """Check candidates against eligibility computed anew.

    Args:
        simulator: Gives the eligibility.
        rollout: Candidates.

    Returns:
        Share that may serve their request; 0 without any candidate.
    """
    row_B, owner_M = np.unique(rollout.row_M, return_inverse=True)
    rank_M = rollout.candidates.rank_M.numpy()
    hits = 0
    for start in range(0, row_B.size, _CHUNK_REQUESTS):
        chunk_B = row_B[start : start + _CHUNK_REQUESTS]
        eligible = simulator.decode_requests(chunk_B).eligible
        inside = (owner_M >= start) & (owner_M < start + _CHUNK_REQUESTS)
        hits += int(eligible.contains(owner_M[inside] - start, rank_M[inside]).sum())
    return hits / max(rank_M.size, 1)
