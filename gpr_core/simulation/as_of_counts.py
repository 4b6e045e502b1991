"""Counts and sums of past events per key, as of any time, by two binary searches each.

Letters: E events, M queries.
"""

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ShapeError

Ints = npt.NDArray[np.int64]


class AsOfCounter:
    """Answers how many events a key had before a time.

    Key and time become one sorted integer, so that a query is a position in an array.

    Args:
        key_E: [E] int64 small non-negative codes; negative events are dropped.
        ts_E: [E] int64 epoch ms, when an event became known.
        weight_E: [E] int64 weight of each event; None counts 1.

    Raises:
        ShapeError: If the arrays differ in length, or key and time do not fit 63 bits.
    """

    def __init__(self, key_E: Ints, ts_E: Ints, weight_E: Ints | None = None) -> None:
        if len(key_E) != len(ts_E) or (weight_E is not None and len(weight_E) != len(key_E)):
            raise ShapeError(
                f"{len(key_E)} keys and {len(ts_E)} times",
                where="AsOfCounter",
                fix="give one time and one weight per event",
            )
        known_E = key_E >= 0
        key_E, ts_E = key_E[known_E].astype(np.int64), ts_E[known_E].astype(np.int64)
        self._first_ts = int(ts_E.min(initial=1 << 62)) if ts_E.size else 0
        self._span = int(ts_E.max(initial=0)) - self._first_ts + 2 if ts_E.size else 1
        self._num_keys = int(key_E.max(initial=-1)) + 1
        if self._num_keys * self._span >= 1 << 63:
            raise ShapeError(
                f"{self._num_keys} keys over {self._span} ms do not fit 63 bits",
                where="AsOfCounter",
                fix="renumber the keys densely",
            )
        place_E = key_E * self._span + (ts_E - self._first_ts)
        order_E = np.argsort(place_E, kind="stable")
        self._place_E = place_E[order_E]
        weight = np.ones(key_E.size, np.int64) if weight_E is None else weight_E[known_E]
        self._total_E1 = np.concatenate([[0], np.cumsum(weight[order_E], dtype=np.int64)])

    def before(self, key_M: Ints, ts_M: Ints, window_ms: int | None = None) -> Ints:
        """Sum the events of keys strictly before times.

        Args:
            key_M: [M] int64; unknown or negative keys have no events.
            ts_M: [M] int64 epoch ms, exclusive.
            window_ms: How far to look back; None looks back to the start.

        Returns:
            [M] int64.
        """
        known_M = (key_M >= 0) & (key_M < self._num_keys)
        base_M = np.where(known_M, key_M, 0) * self._span
        start_ts = self._first_ts if window_ms is None else ts_M - window_ms
        total_M = self._total(base_M, ts_M) - self._total(base_M, start_ts)
        return np.asarray(np.where(known_M, total_M, 0))

    def _total(self, base_M: Ints, ts_M: Ints | int) -> Ints:
        """Sum all events that sort before (key, time)."""
        offset_M = np.clip(ts_M - self._first_ts, 0, self._span - 1)
        return np.asarray(self._total_E1[np.searchsorted(self._place_E, base_M + offset_M)])


def dense_codes(values_E: Ints) -> tuple[Ints, Ints]:
    """Number the distinct values of an array.

    Args:
        values_E: [E] int64.

    Returns:
        (sorted distinct values, code of each element).
    """
    distinct, code_E = np.unique(values_E, return_inverse=True)
    return distinct, code_E.astype(np.int64)


def codes_of(distinct: Ints, values_M: Ints) -> Ints:
    """Look up the codes of values.

    Args:
        distinct: Sorted distinct values from `dense_codes`.
        values_M: [M] int64.

    Returns:
        [M] int64; -1 for a value that was never seen.
    """
    if not distinct.size:
        return np.full(values_M.shape, -1, dtype=np.int64)
    position_M = np.minimum(np.searchsorted(distinct, values_M), distinct.size - 1)
    return np.where(distinct[position_M] == values_M, position_M, -1)
