"""What each head of multi-token prediction has to predict at each request.

Letters: M decisions (exposed requests), J heads, L levels.

Source: specification 3.7; the paper leaves "position t" of a head undefined.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.shapes import check_range, check_shape

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
PairEligible = Callable[[Ints, Ints], Bools]


class Exposures(NamedTuple):
    """Exposed requests, any order.

    Attributes:
        user_key_M: [M] int64.
        request_key_M: [M] int64, breaks ties of time.
        ts_M: [M] int64 epoch ms of the request.
        path_ML: [M, L] int16, codes of the exposed ad.
        usable_M: [M] bool, whether the exposure may be a target of a later head.
    """

    user_key_M: Ints
    request_key_M: Ints
    ts_M: Ints
    path_ML: npt.NDArray[np.int16]
    usable_M: Bools


def next_distinct_targets(
    exposures: Exposures,
    *,
    num_heads: int,
    horizon_ms: int,
    cutoff_ts: int,
    is_eligible: PairEligible,
) -> Ints:
    """Choose the exposure that each head predicts at each request.

    Head 1 predicts the exposed ad. Head j predicts the first later exposure of the same user,
    within the horizon and before the cutoff, whose level-1 code differs from those of heads
    1..j-1 and whose ad could have served the request. An exposure that fails is skipped, never
    forced into the legal set.

    Args:
        exposures: All exposed requests.
        num_heads: Heads J, at least 1.
        horizon_ms: How far later heads look ahead.
        cutoff_ts: End of training data, exclusive.
        is_eligible: (rows of requests [P], rows of exposures [P]) -> [P] bool, whether the ad of
            the exposure was active and targeted at the user at the time of the request.

    Returns:
        [M, J] int64, row of the exposure whose ad is the target, -1 for none.

    Raises:
        ConfigError: If `num_heads` is below 1.
        ShapeError: If the arrays disagree.

    Source:
        Specification 3.7 and 1.4 rule 5.
    """
    return _later_targets(
        exposures, num_heads, horizon_ms, cutoff_ts, is_eligible, is_distinct=True
    )


def offset_targets(
    exposures: Exposures,
    *,
    num_heads: int,
    horizon_ms: int,
    cutoff_ts: int,
    is_eligible: PairEligible,
) -> Ints:
    """Let head j predict the j-th next exposure, as language models predict several tokens.

    Two heads of a request may have the same interest. What may be a target of a later head is the
    same as in `next_distinct_targets`.

    Args:
        exposures: All exposed requests.
        num_heads: Heads J, at least 1.
        horizon_ms: How far later heads look ahead.
        cutoff_ts: End of training data, exclusive.
        is_eligible: As in `next_distinct_targets`.

    Returns:
        [M, J] int64, row of the exposure whose ad is the target, -1 for none.

    Raises:
        ConfigError: If `num_heads` is below 1.
        ShapeError: If the arrays disagree.

    Source:
        Specification 3.7 (`offset`).
    """
    return _later_targets(
        exposures, num_heads, horizon_ms, cutoff_ts, is_eligible, is_distinct=False
    )


def _later_targets(
    exposures: Exposures,
    num_heads: int,
    horizon_ms: int,
    cutoff_ts: int,
    is_eligible: PairEligible,
    *,
    is_distinct: bool,
) -> Ints:
    """Fill the heads of every request from its later exposures, nearest first."""
    check_range("num_heads", num_heads, 1, 64)
    num_rows = exposures.ts_M.size
    check_shape("path_ML", exposures.path_ML, (num_rows, None))
    order = np.lexsort((exposures.request_key_M, exposures.ts_M, exposures.user_key_M))
    user, ts = exposures.user_key_M[order], exposures.ts_M[order]
    code = exposures.path_ML[order, 0].astype(np.int64)
    usable = exposures.usable_M[order] & (ts < cutoff_ts)
    chosen_MJ = np.full((num_rows, num_heads), -1, dtype=np.int64)
    chosen_MJ[:, 0] = np.arange(num_rows)
    count_M = np.ones(num_rows, dtype=np.int64)
    open_rows = np.arange(num_rows if num_heads > 1 else 0)
    offset = 0
    while open_rows.size:
        offset += 1
        open_rows = open_rows[open_rows + offset < num_rows]
        later = open_rows + offset
        in_reach = (user[later] == user[open_rows]) & (ts[later] - ts[open_rows] <= horizon_ms)
        open_rows, later = open_rows[in_reach], later[in_reach]
        fits = usable[later] & (ts[later] > ts[open_rows])
        if is_distinct:
            taken_MJ = np.where(chosen_MJ[open_rows] >= 0, code[chosen_MJ[open_rows]], -1)
            fits &= (taken_MJ != code[later][:, None]).all(axis=1)
        asked = np.flatnonzero(fits)
        fits[asked] = is_eligible(order[open_rows[asked]], order[later[asked]])
        filled = open_rows[fits]
        chosen_MJ[filled, count_M[filled]] = later[fits]
        count_M[filled] += 1
        open_rows = open_rows[count_M[open_rows] < num_heads]
    result_MJ = np.empty_like(chosen_MJ)
    result_MJ[order] = np.where(chosen_MJ >= 0, order[chosen_MJ], -1)
    return result_MJ


def count_shared_codes(target_MJ: Ints, path_ML: npt.NDArray[np.int16]) -> int:
    """Count the requests at which two heads share a level-1 code.

    Zero by construction, unless targets are mere offsets (T06).

    Args:
        target_MJ: [M, J] int64, row of each head's target, -1 for none.
        path_ML: [M, L] int16, codes of the exposed ad of each row.

    Returns:
        Number of requests.
    """
    num_heads = target_MJ.shape[1]
    # Missing heads get codes of their own, below zero, so that they never count as shared.
    missing_J = -1 - np.arange(num_heads)
    code_MJ = np.where(target_MJ >= 0, path_ML[target_MJ, 0].astype(np.int64), missing_J)
    code_MJ = np.sort(code_MJ, axis=1)
    return int((code_MJ[:, 1:] == code_MJ[:, :-1]).any(axis=1).sum())
