"""External knowledge joined to readouts: a request gets what was said as of the start of its day.

Letters: N thoughts, M readouts, P words of the longest thought.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.data.tables import DAY_MS
from gpr_core.support.errors import LeakageError

Ints = npt.NDArray[np.int64]

THOUGHTS_TABLE = "thoughts.parquet"


def read_thoughts(folder: Path) -> pa.Table | None:
    """Read the external knowledge of an artifact.

    Args:
        folder: Folder of a corpus or snapshot.

    Returns:
        Lake table `thoughts`; None where nobody asked for it.
    """
    path = folder / THOUGHTS_TABLE
    return pq.read_table(path) if path.exists() else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ThoughtIndex:
    """Thoughts by user and day.

    Attributes:
        key_N: [N] structured (user, as_of_ts) int64, ascending.
        word_NP: [N, P] int16, hashed words, 0 behind the last one.
    """

    key_N: npt.NDArray[np.void]
    word_NP: npt.NDArray[np.int16]

    @classmethod
    def from_table(cls, thoughts: pa.Table) -> "ThoughtIndex":
        """Load the lake table `thoughts`.

        Args:
            thoughts: One row per user and day.

        Returns:
            The index.

        Raises:
            LeakageError: If a thought was made from an event at or after its own time.
        """
        as_of = thoughts["as_of_ts"].to_numpy().astype(np.int64)
        late = np.flatnonzero(thoughts["source_max_ts"].to_numpy() >= as_of)
        if late.size:
            raise LeakageError(
                f"{late.size} of {as_of.size} thoughts were made from events at or after their "
                f"time, first row {int(late[0])}",
                where="thoughts",
                fix="make thoughts with gpr_core.knowledge from views of the past",
            )
        key_N = _keys(thoughts["user_key"].to_numpy().astype(np.int64), as_of)
        words = thoughts["token_ids"].to_pylist()
        # One place at least: no place at all means that nobody asked for thoughts.
        word_NP = np.zeros((len(words), max([1, *map(len, words)])), dtype=np.int16)
        for row, ids in enumerate(words):
            word_NP[row, : len(ids)] = ids
        order = np.argsort(key_N, kind="stable")
        return cls(key_N=key_N[order], word_NP=word_NP[order])

    def at(self, user_key_M: Ints, ts_M: Ints) -> Ints:
        """Find the thought of each request.

        Args:
            user_key_M: [M] int64 users.
            ts_M: [M] int64 epoch ms of the requests.

        Returns:
            [M, P] int64 words, P >= 1; zeros where nothing was said as of the start of the day.
        """
        if not self.key_N.size:
            return np.zeros((ts_M.size, self.word_NP.shape[1]), dtype=np.int64)
        wanted_M = _keys(user_key_M, ts_M // DAY_MS * DAY_MS)
        row_M = np.minimum(np.searchsorted(self.key_N, wanted_M), self.key_N.size - 1)
        is_known_M = self.key_N[row_M] == wanted_M
        word_MP = self.word_NP[row_M].astype(np.int64)
        return np.where(is_known_M[:, None], word_MP, 0)


def _keys(user_key_N: Ints, ts_N: Ints) -> npt.NDArray[np.void]:
    """Pair users with times; pairs are ordered by user, then time."""
    key_N = np.empty(user_key_N.size, dtype=[("user", np.int64), ("ts", np.int64)])
    key_N["user"], key_N["ts"] = user_key_N, ts_N
    return key_N
