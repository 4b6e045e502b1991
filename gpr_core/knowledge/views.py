"""What may be known about a user at the start of a day.

A view holds events that happened and became known before its time, in category and brand words
only: no key of an item, no text of a user. People without consent have no view of their events.

Letters: N events, M user versions, P pairs of events, C categories.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.data.tables import DAY_MS, Action, ItemKind, OrganicAction, TokenKind
from gpr_core.features.fields import FIELDS

Ints = npt.NDArray[np.int64]

NUM_CATEGORIES = 128
_NUM_COMPLEMENTS = 3
_SMOOTHING = 10.0
_CONSENTS = 1
_DISLIKES = {
    ItemKind.CONTENT: (OrganicAction.SKIP,),
    ItemKind.AD: (Action.IMPRESSION, Action.HIDE),
}


class Events(NamedTuple):
    """Past events with items, in order of time.

    Attributes:
        ts_N: [N] int64 epoch ms.
        item_kind_N: [N] int64, `ItemKind`.
        action_N: [N] int64, `OrganicAction` of content, `Action` of ads.
        category_N: [N] int64, 0 is unknown.
        brand_N: [N] int64, 0 is unknown.
        price_N: [N] int64, price bucket of ads, 0 is unknown.
    """

    ts_N: Ints
    item_kind_N: Ints
    action_N: Ints
    category_N: Ints
    brand_N: Ints
    price_N: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UserView:
    """A user at the start of a day.

    Attributes:
        user_key: The user; for the cache, never for a provider.
        as_of_ts: Start of the day, epoch ms; events and complements are from before it.
        has_consent: Whether the profile in force then says so; false if there is none.
        events: Past events; empty without consent.
        complements: Category -> categories that people turn to around it, best first.
    """

    user_key: int
    as_of_ts: int
    has_consent: bool
    events: Events
    complements: Mapping[int, tuple[int, ...]]

    @property
    def source_max_ts(self) -> int:
        """Time of the latest event, epoch ms; 0 if there is none."""
        return int(self.events.ts_N[-1]) if self.events.ts_N.size else 0


class History:
    """All events of all users, from which views are cut.

    Consent is read from profiles, never from tokens: what follows a withdrawal lies in private
    sessions, so that the last profile among a user's own tokens is the one before it.

    Args:
        timelines: Curated tokens, sorted by user and time.
        users: Lake table `users`, any order; versions from after a view's time are not shown to it.
    """

    def __init__(self, timelines: pa.Table, users: pa.Table) -> None:
        kind = _ints(timelines, "kind")
        is_item = np.isin(kind, [TokenKind.ORGANIC, TokenKind.ITEM])
        is_ad = kind == TokenKind.ITEM
        self._user, self._ingest = _ints(timelines, "user_key"), _ints(timelines, "ingest_ts")
        self._kind, self._ts = kind, _ints(timelines, "ts")
        self._profiles = _Profiles.build(users)
        self._is_item = is_item
        self._events = Events(
            ts_N=self._ts,
            item_kind_N=_ints(timelines, "item_kind"),
            action_N=_ints(timelines, "action"),
            category_N=_by_kind(timelines, is_ad, "category"),
            brand_N=_by_kind(timelines, is_ad, "brand"),
            price_N=np.where(is_ad, _field(timelines, TokenKind.ITEM, "price_bucket"), 0),
        )
        self._pairs = _liked_pairs(self._user, self._ingest, self._events, is_item)
        self._complements: tuple[int, Mapping[int, tuple[int, ...]]] = (-1, {})

    def request_days(self) -> tuple[Ints, Ints]:
        """List the days on which users made requests.

        Returns:
            [N] int64 users and [N] int64 starts of the days, epoch ms; by day, then user.
        """
        asked = self._kind == TokenKind.ENVIRONMENT
        day = self._ts[asked] // DAY_MS * DAY_MS
        pairs = np.unique(np.stack([day, self._user[asked]], axis=1), axis=0)
        return pairs[:, 1], pairs[:, 0]

    def users_with_consent(self) -> Ints:
        """List the users whose latest profile gives consent.

        Returns:
            Keys, int64 ascending.
        """
        return self._profiles.user_M[self._profiles.is_last_M & self._profiles.consents_M]

    def users_without_consent(self) -> Ints:
        """List the users whose latest profile gives no consent.

        Returns:
            Keys, int64 ascending.
        """
        return self._profiles.user_M[self._profiles.is_last_M & ~self._profiles.consents_M]

    def view(self, user_key: int, as_of_ts: int) -> UserView:
        """Show a user at a time.

        Args:
            user_key: The user.
            as_of_ts: Epoch ms; nothing that happened or became known from then on is shown.

        Returns:
            The view; an unknown user has given no consent.
        """
        first, last = np.searchsorted(self._user, [user_key, user_key + 1])
        rows = first + np.flatnonzero(_is_before(self._ts, self._ingest, as_of_ts, first, last))
        has_consent = self._profiles.consents_at(user_key, as_of_ts)
        shown = rows[self._is_item[rows]] if has_consent else rows[:0]
        return UserView(
            user_key=user_key,
            as_of_ts=as_of_ts,
            has_consent=has_consent,
            events=Events(*(column[shown] for column in self._events)),
            complements=self.complements(as_of_ts),
        )

    def complements(self, as_of_ts: int) -> Mapping[int, tuple[int, ...]]:
        """Tell which categories people like next to which, from what was known at a time.

        Args:
            as_of_ts: Epoch ms.

        Returns:
            Category -> the up to three others with the most pairs relative to how common they are.
        """
        # Days come in order, one after the other: the last one asked for is the one asked again.
        if self._complements[0] != as_of_ts:
            self._complements = (as_of_ts, _best_complements(self._pairs, as_of_ts))
        return self._complements[1]


class _Profiles(NamedTuple):
    """User versions by user and start; whether each gives consent and is the user's latest."""

    user_M: Ints
    start_M: Ints
    consents_M: npt.NDArray[np.bool_]
    is_last_M: npt.NDArray[np.bool_]

    @classmethod
    def build(cls, users: pa.Table) -> "_Profiles":
        """Sort the versions."""
        user_M, start_M = _ints(users, "user_key"), _ints(users, "valid_from")
        order = np.lexsort((start_M, user_M))
        is_last_M = np.ones(order.size, dtype=np.bool_)
        is_last_M[:-1] = np.diff(user_M[order]) != 0
        consents_M = _ints(users, "consent")[order] == _CONSENTS
        return cls(user_M[order], start_M[order], consents_M, is_last_M)

    def consents_at(self, user_key: int, as_of_ts: int) -> bool:
        """Tell whether the version in force at a time gives consent; changes come at midnight."""
        first, last = np.searchsorted(self.user_M, [user_key, user_key + 1])
        place = first + np.searchsorted(self.start_M[first:last], as_of_ts, side="right") - 1
        return bool(place >= first and self.consents_M[place])


class _Pairs(NamedTuple):
    """Neighboring liked events of one user with different categories; when both were known."""

    known_P: Ints
    first_P: Ints
    second_P: Ints


def _liked_pairs(
    user: Ints, ingest: Ints, events: Events, is_item: npt.NDArray[np.bool_]
) -> _Pairs:
    """List the pairs."""
    is_liked = is_item & (events.category_N > 0)
    for kind, actions in _DISLIKES.items():
        is_liked &= ~((events.item_kind_N == kind) & np.isin(events.action_N, actions))
    rows = np.flatnonzero(is_liked)
    before, after = rows[:-1], rows[1:]
    first, second = events.category_N[before], events.category_N[after]
    kept = (user[before] == user[after]) & (first != second)
    ready = np.maximum(ingest, events.ts_N)
    known = np.maximum(ready[before], ready[after])[kept]
    return _Pairs(known, first[kept], second[kept])


def _best_complements(pairs: _Pairs, as_of_ts: int) -> Mapping[int, tuple[int, ...]]:
    """Rank the neighbors of each category."""
    known = pairs.known_P < as_of_ts
    count_CC = np.zeros((NUM_CATEGORIES, NUM_CATEGORIES))
    np.add.at(count_CC, (pairs.first_P[known], pairs.second_P[known]), 1.0)
    count_CC = count_CC + count_CC.T
    lift_CC = count_CC / (count_CC.sum(axis=0) + _SMOOTHING)
    order_CC = np.argsort(-lift_CC, axis=1, kind="stable")[:, :_NUM_COMPLEMENTS]
    return {
        int(category): tuple(int(other) for other in order_CC[category] if lift_CC[category, other])
        for category in np.flatnonzero(count_CC.any(axis=1))
    }


def _is_before(
    ts: Ints, ingest: Ints, as_of_ts: int, first: int, last: int
) -> npt.NDArray[np.bool_]:
    """Mark the rows of a span that happened and became known before a time."""
    return np.asarray((ts[first:last] < as_of_ts) & (ingest[first:last] < as_of_ts))


def _by_kind(timelines: pa.Table, is_ad: npt.NDArray[np.bool_], name: str) -> Ints:
    """Read a field that content and ads have in different columns."""
    ad, content = (_field(timelines, kind, name) for kind in (TokenKind.ITEM, TokenKind.ORGANIC))
    return np.where(is_ad, ad, content)


def _field(timelines: pa.Table, kind: TokenKind, name: str) -> Ints:
    """Read the column in which a kind stores a field."""
    names = [field.name for field in FIELDS[kind]]
    return _ints(timelines, f"f{names.index(name)}")


def _ints(table: pa.Table, name: str) -> Ints:
    """Read a column as int64."""
    values: npt.NDArray[Any] = table[name].to_numpy()
    return values.astype(np.int64)
