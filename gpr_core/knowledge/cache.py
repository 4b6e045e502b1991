"""The table of thoughts, and the cache that keeps a provider from being asked twice."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.data.parquet import write_parquet
from gpr_core.data.tables import TABLES
from gpr_core.knowledge.provider import Thought, ThoughtProvider
from gpr_core.knowledge.views import History, UserView
from gpr_core.knowledge.words import thought_words

Ints = npt.NDArray[np.int64]
_SCHEMA = TABLES["thoughts"].schema


class _Key(NamedTuple):
    """What makes two questions the same."""

    user_key: int
    as_of_ts: int
    provider: str
    prompt_hash: str


class _Entry(NamedTuple):
    """An answer, and the time of the latest event behind it."""

    text: str
    source_max_ts: int


class ThoughtCache:
    """Thoughts by user, day, provider and prompt.

    A thought of a fallback is kept under the fallback's name: a later run asks the provider again.

    Args:
        landed: Rows of the lake table `thoughts`. What an outside provider said about a user on a
            day is taken, whoever else is configured; it is not saved, the lake keeps it.
    """

    def __init__(self, landed: pa.Table | None = None) -> None:
        self._entries: dict[_Key, _Entry] = {}
        self._landed: dict[tuple[int, int], tuple[_Key, _Entry]] = {}
        for key, entry in _rows(landed) if landed is not None else ():
            # Their ids may be of another vocabulary; a text without a word of ours says nothing.
            if thought_words(entry.text):
                self._landed[key.user_key, key.as_of_ts] = (key, entry)

    @classmethod
    def load(cls, path: Path, *, landed: pa.Table | None = None) -> "ThoughtCache":
        """Read a cache.

        Args:
            path: Parquet file that `save` wrote; a missing one is an empty cache.
            landed: Rows of the lake table `thoughts`.

        Returns:
            The cache.
        """
        cache = cls(landed)
        if path.exists():
            cache._entries.update(_rows(pq.read_table(path, schema=_SCHEMA)))
        return cache

    def save(self, path: Path) -> None:
        """Write all thoughts, also those of other providers; a killed run loses no earlier ones.

        Args:
            path: Parquet file to write.
        """
        write_parquet(path, _table(self._entries))

    def forget(self, user_keys: Ints) -> None:
        """Drop what was answered about people.

        Args:
            user_keys: [.] int64 users, in any order.
        """
        gone = set(user_keys.tolist())
        self._entries = {
            key: entry for key, entry in self._entries.items() if key.user_key not in gone
        }

    def thoughts(
        self, history: History, user_key_N: Ints, as_of_ts_N: Ints, provider: ThoughtProvider
    ) -> pa.Table:
        """Collect thoughts about users on days, asking for those that are missing.

        Whoever spoke, and whenever: without consent at the start of the day there is no thought.

        Args:
            history: Where views are cut from.
            user_key_N: [N] int64 users.
            as_of_ts_N: [N] int64 starts of days, epoch ms.
            provider: Whom to ask.

        Returns:
            Lake table `thoughts`, by user and day; who has no thought has no row.
        """
        chosen: dict[_Key, _Entry] = {}
        for user_key, as_of_ts in zip(user_key_N.tolist(), as_of_ts_N.tolist(), strict=True):
            view = history.view(user_key, as_of_ts)
            found = self._find(view, provider) if view.has_consent else None
            if found is not None:
                chosen[found[0]] = found[1]
        return _table(chosen)

    def _find(self, view: UserView, provider: ThoughtProvider) -> tuple[_Key, _Entry] | None:
        """Look a thought up, else ask; None if there is nothing to say."""
        landed = self._landed.get((view.user_key, view.as_of_ts))
        if landed is not None:
            return landed
        key = _Key(view.user_key, view.as_of_ts, provider.name, provider.prompt_hash)
        if key not in self._entries:
            thought = provider.generate(view)
            if not thought.text:
                return None
            key = _signed(key, thought)
            self._entries[key] = _Entry(thought.text, view.source_max_ts)
        return key, self._entries[key]


def count_providers(thoughts: pa.Table) -> dict[str, int]:
    """Count who wrote the thoughts, for manifest and report (T39).

    Args:
        thoughts: Lake table `thoughts`.

    Returns:
        Provider -> number of thoughts, sorted by name.
    """
    return dict(sorted(Counter(thoughts["provider"].to_pylist()).items()))


def _rows(thoughts: pa.Table) -> Iterator[tuple[_Key, _Entry]]:
    """Read a table of thoughts."""
    for row in thoughts.to_pylist():
        key = _Key(*(row[name] for name in _Key._fields))
        yield key, _Entry(row["text"], row["source_max_ts"])


def _signed(key: _Key, thought: Thought) -> _Key:
    """Put the name of who really spoke into a key."""
    return key._replace(provider=thought.provider, prompt_hash=thought.prompt_hash)


def _table(entries: dict[_Key, _Entry]) -> pa.Table:
    """Lay thoughts out as the lake table."""
    rows = [
        {
            **key._asdict(),
            "text": entry.text,
            "token_ids": thought_words(entry.text),
            "source_max_ts": entry.source_max_ts,
        }
        for key, entry in sorted(entries.items())
    ]
    return pa.Table.from_pylist(rows, schema=_SCHEMA)
