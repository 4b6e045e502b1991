"""Which ads may serve which request, exactly.

Letters: B requests, A ads by rank, V ad versions, S shown (request, ad) pairs, P past impressions,
D days, G distinct places.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.shown_counts import ShownCounts
from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import DAY_MS, AdStatus
from gpr_core.support.errors import ContractError
from gpr_core.support.ranges import expand_ranges

_GENDER_SHIFT, _DEVICE_SHIFT, _ACTIVE_SHIFT = 8, 16, 24
_LARGEST_BIT = 7


class RequestContext(NamedTuple):
    """What eligibility depends on.

    Attributes:
        request_key: [B] int64.
        user_key: [B] int64.
        ts: [B] int64 epoch ms.
        age_bucket: [B] int64, 0 unknown.
        gender: [B] int64, 0 unknown.
        geo_l1: [B] int64.
        geo_l2: [B] int64, matched with the geo set of an ad.
        device: [B] int64 device tier, matched with the device mask of an ad.
        placement: [B] int64.
        privacy: [B] int64, 0 standard, 1 strict.
    """

    request_key: npt.NDArray[np.int64]
    user_key: npt.NDArray[np.int64]
    ts: npt.NDArray[np.int64]
    age_bucket: npt.NDArray[np.int64]
    gender: npt.NDArray[np.int64]
    geo_l1: npt.NDArray[np.int64]
    geo_l2: npt.NDArray[np.int64]
    device: npt.NDArray[np.int64]
    placement: npt.NDArray[np.int64]
    privacy: npt.NDArray[np.int64]


def request_context(decisions: pa.Table) -> RequestContext:
    """Take the context columns of a table of requests or decisions.

    Args:
        decisions: Any table with the columns of `RequestContext`.

    Returns:
        One row per row of the table.
    """
    columns = (np.asarray(decisions.column(name).to_numpy()) for name in RequestContext._fields)
    return RequestContext(*(column.astype(np.int64) for column in columns))


def eligible_ads(
    ad_table: AdTable,
    context: RequestContext,
    *,
    spent_today: npt.NDArray[np.int64] | None = None,
    spent_total: npt.NDArray[np.int64] | None = None,
    shown_today: ShownCounts | None = None,
) -> npt.NDArray[np.bool_]:
    """Say which ads may serve each request.

    An ad is eligible if it is launched, the version valid at the request's time is active, its
    age, gender and device masks and its geo set all admit the user, it has budget left and its
    frequency cap is not reached. All conditions are joined on the whole ad, never per attribute.

    Args:
        ad_table: Ads in rank order.
        context: Requests.
        spent_today: [A] or [B, A] micros spent that day before the request; None ignores the
            daily budget.
        spent_total: [A] or [B, A] micros spent ever before the request; None ignores the total
            budget.
        shown_today: Impressions that count for the frequency cap; None ignores the cap.

    Returns:
        [B, A] bool.

    Raises:
        ContractError: If an age bucket, gender or device tier is outside 0..7.

    Source:
        Specification 5.1.
    """
    version_BA = ad_table.versions_at(context.ts)
    wanted_B = _wanted_bits(context)
    admitted_V = _admitted_bits(ad_table)
    eligible_BA: npt.NDArray[np.bool_] = (admitted_V[version_BA] & wanted_B[:, None]) == wanted_B[
        :, None
    ]
    eligible_BA &= version_BA >= 0
    eligible_BA &= _geo_admits(ad_table, version_BA, context.geo_l2)
    if spent_today is not None:
        eligible_BA &= np.asarray(spent_today) < ad_table.daily_budget_V[version_BA]
    if spent_total is not None:
        eligible_BA &= np.asarray(spent_total) < ad_table.total_budget_V[version_BA]
    if shown_today is not None:
        _apply_frequency_cap(eligible_BA, ad_table, version_BA, shown_today)
    return eligible_BA


class FrequencyCounter:
    """Counts the impressions a user saw of each ad earlier on the same UTC day.

    Args:
        impressions: Table with user_key, ts and ad_key of past impressions, any order.
        trie: Gives the ranks; impressions of ads outside the catalog are ignored.
    """

    def __init__(self, impressions: pa.Table, trie: Trie) -> None:
        user_P, ts_P, key_P = (
            np.asarray(impressions.column(name).to_numpy()).astype(np.int64)
            for name in ("user_key", "ts", "ad_key")
        )
        rank_P = trie.rank_of_ads(key_P).numpy()
        is_known_P = rank_P >= 0
        user_P, ts_P, rank_P = user_P[is_known_P], ts_P[is_known_P], rank_P[is_known_P]
        # Both halves of (user, time) become dense integers, because user keys use all 63 bits.
        self._users, user_idx_P = np.unique(user_P, return_inverse=True)
        self._times, time_idx_P = np.unique(ts_P, return_inverse=True)
        key_P = user_idx_P * (self._times.size + 1) + time_idx_P
        order_P = np.argsort(key_P, kind="stable")
        self._key_P, self._rank_P = key_P[order_P], rank_P[order_P]

    def shown_before(self, context: RequestContext) -> ShownCounts:
        """Count the impressions of each request's user on its day before its time.

        Args:
            context: Requests.

        Returns:
            Counts of that day.
        """
        first_B = self._position(context.user_key, context.ts // DAY_MS * DAY_MS)
        row, place = expand_ranges(first_B, self._position(context.user_key, context.ts))
        return ShownCounts.of_impressions(row, self._rank_P[place])

    def _position(
        self, user_B: npt.NDArray[np.int64], ts_B: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Count past impressions that sort before (user, ts)."""
        user_idx_B = np.searchsorted(self._users, user_B)
        time_idx_B = np.searchsorted(self._times, ts_B)
        # An unknown user stands before the next known one at all times, so that it has no range.
        time_idx_B[~np.isin(user_B, self._users)] = 0
        return np.searchsorted(self._key_P, user_idx_B * (self._times.size + 1) + time_idx_B)


def _wanted_bits(context: RequestContext) -> npt.NDArray[np.int32]:
    """Pack the bits that a version must admit, one word per request."""
    words = np.full(context.ts.size, 1 << _ACTIVE_SHIFT, dtype=np.int32)
    shifts = {"age_bucket": 0, "gender": _GENDER_SHIFT, "device": _DEVICE_SHIFT}
    for name, shift in shifts.items():
        bit_B = getattr(context, name)
        if bit_B.size and not (bit_B.min() >= 0 and bit_B.max() <= _LARGEST_BIT):
            raise ContractError(
                f"{name} ranges from {bit_B.min()} to {bit_B.max()}, expected 0..{_LARGEST_BIT}",
                where=f"request context, column {name}",
                fix="curate the requests first",
            )
        words |= np.left_shift(1, bit_B + shift).astype(np.int32)
    return words


def _admitted_bits(ad_table: AdTable) -> npt.NDArray[np.int32]:
    """Pack status and masks of each version into one word."""
    is_active_V = (ad_table.status_V == AdStatus.ACTIVE).astype(np.int32)
    words_V = ad_table.age_mask_V.astype(np.int32)
    words_V |= ad_table.gender_mask_V.astype(np.int32) << _GENDER_SHIFT
    words_V |= ad_table.device_mask_V.astype(np.int32) << _DEVICE_SHIFT
    words_V |= is_active_V << _ACTIVE_SHIFT
    return words_V


def _geo_admits(
    ad_table: AdTable, version_BA: npt.NDArray[np.int64], geo_l2_B: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Look each request's place up in each version's geo set."""
    elsewhere = ad_table.geo_allowed_SG.shape[1] - 1
    is_named_B = (geo_l2_B >= 0) & (geo_l2_B < elsewhere)
    places, place_idx_B = np.unique(np.where(is_named_B, geo_l2_B, elsewhere), return_inverse=True)
    admits_GV = ad_table.geo_allowed_SG[:, places].T[:, ad_table.geo_set_V]
    return admits_GV[place_idx_B[:, None], version_BA]


def _apply_frequency_cap(
    eligible_BA: npt.NDArray[np.bool_],
    ad_table: AdTable,
    version_BA: npt.NDArray[np.int64],
    shown: ShownCounts,
) -> None:
    """Clear the ads whose cap is reached, in place."""
    cap_S = ad_table.freq_cap_V[version_BA[shown.row_S, shown.rank_S]]
    is_capped_S = (cap_S > 0) & (shown.count_S >= cap_S)
    eligible_BA[shown.row_S[is_capped_S], shown.rank_S[is_capped_S]] = False
