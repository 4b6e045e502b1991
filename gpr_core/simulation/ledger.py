"""What had been shown and spent before each request: budgets, frequency caps and fatigue.

Letters: B requests, A ads by rank, E past impressions.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from gpr_core.catalog.eligibility import FrequencyCounter, RequestContext
from gpr_core.catalog.shown_counts import ShownCounts
from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import DAY_MS
from gpr_core.simulation.as_of_counts import AsOfCounter, Ints, codes_of, dense_codes
from gpr_core.support.ranges import expand_ranges

LEDGER_COLUMNS = ("user_key", "ad_key", "ts", "price_micros")


class _ByUser(NamedTuple):
    """Impressions of each user."""

    begin_U1: Ints
    event_E: Ints


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ledger:
    """Past impressions, indexed for questions as of a time.

    Attributes:
        ts_E: [E] int64 epoch ms, ascending.
        rank_E: [E] int64, ad of each impression.
        price_E: [E] int64 micros.
        shown: Impressions per (user, ad).
        users: Sorted keys of users who saw anything.
        by_user: Positions in `ts_E` of each user's impressions, in time order.
        frequency: Impressions per user, ad and day.
        num_ads: Ads A of the catalog.
    """

    ts_E: Ints
    rank_E: Ints
    price_E: Ints
    shown: AsOfCounter
    users: Ints
    by_user: _ByUser
    frequency: FrequencyCounter
    num_ads: int

    @staticmethod
    def build(impressions: pa.Table, trie: Trie) -> "Ledger":
        """Index impressions.

        Args:
            impressions: Table with the columns of `LEDGER_COLUMNS`.
            trie: Gives the ranks; other ads are dropped.

        Returns:
            The ledger.
        """
        user_E, key_E, ts_E, price_E = (
            np.asarray(impressions[name].to_numpy()).astype(np.int64) for name in LEDGER_COLUMNS
        )
        rank_E = trie.rank_of_ads(key_E).numpy()
        kept = np.flatnonzero(rank_E >= 0)
        kept = kept[np.argsort(ts_E[kept], kind="stable")]
        ts_E, rank_E, price_E = ts_E[kept], rank_E[kept], price_E[kept]
        users, code_E = dense_codes(user_E[kept])
        return Ledger(
            ts_E=ts_E,
            rank_E=rank_E,
            price_E=price_E,
            shown=AsOfCounter(code_E * trie.num_ads + rank_E, ts_E),
            users=users,
            by_user=_by_user(code_E, users.size),
            frequency=FrequencyCounter(impressions, trie),
            num_ads=trie.num_ads,
        )

    def spent_before(self, ts_B: Ints) -> tuple[Ints, Ints]:
        """Sum what each ad had spent before each time.

        Args:
            ts_B: [B] int64 epoch ms.

        Returns:
            ([B, A] micros of the same UTC day, [B, A] micros ever).
        """
        days, day_B = np.unique(ts_B // DAY_MS, return_inverse=True)
        first_D = np.searchsorted(self.ts_E, days * DAY_MS)
        today_BA = np.zeros((ts_B.size, self.num_ads), dtype=np.int64)
        row, event = expand_ranges(first_D[day_B], np.searchsorted(self.ts_E, ts_B))
        np.add.at(today_BA, (row, self.rank_E[event]), self.price_E[event])
        # One pass per calendar day, of which a snapshot has a handful.
        earlier_DA = np.zeros((days.size, self.num_ads), dtype=np.int64)
        for idx, first in enumerate(first_D.tolist()):
            np.add.at(earlier_DA[idx], self.rank_E[:first], self.price_E[:first])
        return today_BA, earlier_DA[day_B] + today_BA

    def shown_before(self, user_key_B: Ints, ts_B: Ints) -> ShownCounts:
        """Count the earlier impressions of ads to the user of each request.

        Args:
            user_key_B: [B] int64.
            ts_B: [B] int64 epoch ms.

        Returns:
            The counts.
        """
        user_B = codes_of(self.users, user_key_B)
        begin_B = self.by_user.begin_U1[np.maximum(user_B, 0)]
        end_B = np.where(user_B < 0, begin_B, self.by_user.begin_U1[user_B + 1])
        row, place = expand_ranges(begin_B, end_B)
        event = self.by_user.event_E[place]
        known = self.ts_E[event] < ts_B[row]
        return ShownCounts.of_impressions(row[known], self.rank_E[event[known]])

    def shown_pairs(self, user_key_M: Ints, rank_M: Ints, ts_M: Ints) -> Ints:
        """Count the earlier impressions of single ads to single users.

        Args:
            user_key_M: [M] int64.
            rank_M: [M] int64 catalog ranks.
            ts_M: [M] int64 epoch ms.

        Returns:
            [M] int64.
        """
        user_M = codes_of(self.users, user_key_M)
        return self.shown.before(np.where(user_M < 0, -1, user_M * self.num_ads + rank_M), ts_M)

    def shown_today(self, context: RequestContext) -> ShownCounts:
        """Count the impressions that frequency caps look at.

        Args:
            context: Requests.

        Returns:
            Impressions of the same user and day before each request.
        """
        return self.frequency.shown_before(context)


def _by_user(code_E: Ints, num_users: int) -> _ByUser:
    """Group impressions by user, in time order."""
    count_U = np.bincount(code_E, minlength=num_users)
    begin_U1 = np.concatenate([[0], np.cumsum(count_U)]).astype(np.int64)
    return _ByUser(begin_U1, np.argsort(code_E, kind="stable"))
