"""The last step of serving: reserve, then hand out.

Between the moment that eligibility was read and the moment that an ad is handed out, another
request may have taken its last impression, or its advertiser may have paused it. So every ad is
checked and reserved once more; one that fails is skipped for the next of the list, which is decoded
a little longer than asked for. The model is never asked again.

Letters: B requests, A ads by rank, M flat candidates.

Source: specification 5.2 (budget exhaustion between snapshot and emission).
"""

import math
from collections.abc import Callable
from dataclasses import replace
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.catalog.budget import BudgetLedger
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.protocols import Candidates

Ints = npt.NDArray[np.int64]

_RESERVE_SHARE = 0.25


class Handout(IntEnum):
    """What became of a candidate."""

    HANDED_OUT = 0
    NOT_NEEDED = 1
    STOPPED = 2
    OUT_OF_BUDGET = 3


class Shortage(IntEnum):
    """Why a request got as many ads as it got."""

    NONE = 0
    NO_ELIGIBLE_AD = 1
    FEW_ELIGIBLE_ADS = 2
    FEW_DECODED = 3
    LOST_IN_FLIGHT = 4


class Emitted(NamedTuple):
    """What was handed out.

    Attributes:
        candidates: The ads, positions counted anew from 0.
        handout_M: [M] int64, `Handout` of every candidate that was offered.
        shortage_B: [B] int64, `Shortage` of every request.
    """

    candidates: Candidates
    handout_M: Ints
    shortage_B: Ints


def with_reserve(config: BeamConfig) -> BeamConfig:
    """Ask for a quarter more candidates, to replace those that fail at the end.

    Args:
        config: Parameters with the number of ads to hand out.

    Returns:
        Parameters to decode with; beams are as wide as before.
    """
    wanted = config.num_candidates
    longer = math.ceil(wanted * (1 + _RESERVE_SHARE))
    factors = tuple(factor * wanted / longer for factor in config.width_factors)
    return replace(config, num_candidates=longer, width_factors=factors)


def hand_out(
    offered: Candidates,
    eligible: EligibleAds,
    *,
    count: int,
    price_micros_M: Ints,
    ledger: BudgetLedger,
    is_alive: Callable[[Ints], npt.NDArray[np.bool_]],
) -> Emitted:
    """Hand out the best candidates that are still alive and whose price can be reserved.

    All requests take turns by position, those with fewer ads first, so that nobody's first ad waits
    for anybody's last.

    Args:
        offered: Candidates, decoded `with_reserve`.
        eligible: What they were decoded with.
        count: Ads per request at most.
        price_micros_M: [M] int64 micros to reserve for each candidate, >= 0.
        ledger: Budgets by rank, shared by all who serve.
        is_alive: Says of ranks whether their ads still run.

    Returns:
        At most `count` ads per request, and why not more.
    """
    row_M, rank_M = offered.row_M.numpy(), offered.rank_M.numpy()
    position_M = offered.position_M.numpy()
    handout_M = np.full(row_M.size, Handout.NOT_NEEDED, dtype=np.int64)
    got_B = np.zeros(eligible.num_requests, dtype=np.int64)
    for position in range(int(position_M.max(initial=-1)) + 1):
        turn = np.flatnonzero((position_M == position) & (got_B[row_M] < count))
        turn = turn[np.argsort(got_B[row_M[turn]], kind="stable")]
        alive = is_alive(rank_M[turn])
        handout_M[turn[~alive]] = Handout.STOPPED
        turn = turn[alive]
        granted = ledger.reserve(rank_M[turn], price_micros_M[turn])
        handout_M[turn] = np.where(granted, Handout.HANDED_OUT, Handout.OUT_OF_BUDGET)
        got_B += np.bincount(row_M[turn[granted]], minlength=got_B.size)
    kept = np.flatnonzero(handout_M == Handout.HANDED_OUT)
    order = kept[np.lexsort((position_M[kept], row_M[kept]))]
    found = offered.select(torch.from_numpy(order))
    place = np.arange(order.size) - np.repeat(np.cumsum(got_B) - got_B, got_B)
    found = found._replace(position_M=torch.from_numpy(place))
    return Emitted(found, handout_M, _shortage(row_M, handout_M, got_B, eligible.totals(), count))


def _shortage(row_M: Ints, handout_M: Ints, got_B: Ints, eligible_B: Ints, count: int) -> Ints:
    """Say why each request got fewer ads than asked for, the most telling reason first."""
    is_lost_M = (handout_M == Handout.STOPPED) | (handout_M == Handout.OUT_OF_BUDGET)
    lost_B = np.bincount(row_M[is_lost_M], minlength=got_B.size)
    reasons = {
        Shortage.NONE: got_B >= count,
        Shortage.NO_ELIGIBLE_AD: eligible_B == 0,
        Shortage.LOST_IN_FLIGHT: lost_B > 0,
        Shortage.FEW_ELIGIBLE_ADS: eligible_B < count,
    }
    return np.select(
        list(reasons.values()), [int(reason) for reason in reasons], int(Shortage.FEW_DECODED)
    ).astype(np.int64)
