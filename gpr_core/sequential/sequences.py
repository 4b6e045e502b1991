"""Interaction sequences as a text file, and what leave-one-out makes of them.

A line is a user and the items that this user acted on, in time order, all positive integers:

    1 17 4 23 9

Letters: U users, M interactions of all users one after the other, A items, B users of a batch,
T latest interactions.

Source: the format and the split of S3-Rec (CIKM 2020), which TIGER and most later work use.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ContractError

Ints = npt.NDArray[np.int64]

# Two items are left out, and a history of one is needed to predict from.
MIN_EVALUATED = 3


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Sequences of several users, one after the other.

    Attributes:
        item_M: [M] int64, 0 <= item < A, in time order within a user.
        offset_U1: [U + 1] int64, where each user begins, and the end.
    """

    item_M: Ints
    offset_U1: Ints

    def __len__(self) -> int:
        """Count the users."""
        return len(self.offset_U1) - 1

    @property
    def lengths(self) -> Ints:
        """[U] int64, interactions of each user."""
        return np.diff(self.offset_U1)

    @property
    def users(self) -> Ints:
        """[M] int64, user of each interaction."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def positions(self) -> Ints:
        """[M] int64, 0-based place of each interaction in its sequence."""
        return np.arange(len(self.item_M)) - np.repeat(self.offset_U1[:-1], self.lengths)

    def without_last(self, count: int) -> "Histories":
        """Leave out the last interactions of every user.

        Args:
            count: How many, >= 0; shorter sequences become empty.

        Returns:
            As many users with shorter sequences.
        """
        kept_M = self.positions < np.repeat(self.lengths - count, self.lengths)
        length_U = np.maximum(self.lengths - count, 0)
        return Histories(self.item_M[kept_M], np.concatenate([[0], length_U.cumsum()]))

    def select(self, user_B: Ints) -> "Histories":
        """Take some users.

        Args:
            user_B: [B] int64.

        Returns:
            Their sequences in this order.
        """
        length_B = self.lengths[user_B]
        offset_B1 = np.concatenate([[0], length_B.cumsum()])
        start_M = np.repeat(self.offset_U1[:-1][user_B] - offset_B1[:-1], length_B)
        return Histories(self.item_M[start_M + np.arange(offset_B1[-1])], offset_B1)

    def latest(self, max_items: int) -> Ints:
        """Lay the latest interactions out in a grid.

        Args:
            max_items: T, >= 1.

        Returns:
            [U, T] int64, left-aligned in time order, -1 where there is none; T is at most the
            longest sequence.
        """
        length_U = np.minimum(self.lengths, max_items)
        item_UT = np.full((len(self), max(int(length_U.max(initial=1)), 1)), -1, dtype=np.int64)
        column_M = self.positions - np.repeat(self.lengths - length_U, self.lengths)
        kept_M = column_M >= 0
        item_UT[self.users[kept_M], column_M[kept_M]] = self.item_M[kept_M]
        return item_UT


@dataclass(frozen=True, slots=True, eq=False)
class LeaveOneOut:
    """Histories of users and the one item that each acted on next.

    Attributes:
        history: What is known; its items do not count as candidates.
        target_B: [B] int64, the item to find.
    """

    history: Histories
    target_B: Ints


@dataclass(frozen=True, slots=True, eq=False)
class SequenceData:
    """A data set with its split.

    Attributes:
        name: Name of the file, without its ending.
        item_ids_A: [A] int64, item as the file names it.
        all: Every sequence.
    """

    name: str
    item_ids_A: Ints
    all: Histories

    @property
    def num_items(self) -> int:
        """Items A, all of which are ranked."""
        return len(self.item_ids_A)

    @property
    def train(self) -> Histories:
        """Sequences without their last two items; the only ones that anything is learned from."""
        return self.all.without_last(2)

    @property
    def validation(self) -> LeaveOneOut:
        """The last item but one, after all before it."""
        return self._leave_out(2)

    @property
    def test(self) -> LeaveOneOut:
        """The last item, after all before it, the validation item included."""
        return self._leave_out(1)

    def _leave_out(self, count: int) -> LeaveOneOut:
        """Hold out one item of every user with enough of them."""
        user_B = np.flatnonzero(self.all.lengths >= MIN_EVALUATED)
        chosen = self.all.select(user_B)
        return LeaveOneOut(chosen.without_last(count), chosen.item_M[chosen.offset_U1[1:] - count])


def read_sequences(path: Path) -> SequenceData:
    """Read a file of sequences.

    Args:
        path: Text file, one user a line.

    Returns:
        The data set; items are numbered in the order of their ids.

    Raises:
        ContractError: If a line is no user with items, a user comes twice, or nobody has acted
            on three items.
        OSError: If the file cannot be read.
    """
    users: dict[int, int] = {}
    rows = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if line.strip():
            user, *items = _numbers(line, f"{path}:{number}")
            if user in users:
                raise ContractError(
                    f"user {user} has two lines, {users[user]} and {number}",
                    where=str(path),
                    fix="put all items of a user on one line, in time order",
                )
            users[user] = number
            rows.append(items)
    if max((len(items) for items in rows), default=0) < MIN_EVALUATED:
        raise ContractError(
            f"no user has {MIN_EVALUATED} items or more, nothing could be evaluated",
            where=str(path),
            fix="a line is `user item item ...`, in time order",
        )
    flat_M = np.concatenate([np.asarray(items, dtype=np.int64) for items in rows])
    item_ids_A, item_M = np.unique(flat_M, return_inverse=True)
    offset_U1 = np.concatenate([[0], np.cumsum([len(items) for items in rows])])
    return SequenceData(path.stem, item_ids_A, Histories(item_M, offset_U1))


def _numbers(line: str, where: str) -> list[int]:
    """Parse a line into a user and at least one item."""
    words = line.split()
    bad = [word for word in words if not (word.isascii() and word.isdigit() and int(word) > 0)]
    if bad or len(words) < 2:
        found = f"found {bad[0]!r}" if bad else "found no item"
        raise ContractError(
            f"{found}, expected a user and items as positive integers",
            where=where,
            fix="write `user item item ...` with blanks between them",
        )
    return [int(word) for word in words]
