"""Ads and their versions in catalog-rank order, looked up at a time.

Letters: B requests, A ads by rank, V ad versions (sorted by rank, then time), M flat rows,
S distinct geo sets.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import DAY_MS, BidType
from gpr_core.support.compiled import compiled
from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.shapes import check_shape

NUM_BID_BUCKETS = 15
NUM_AGE_BUCKETS = 7
NUM_CATEGORIES = 128
NUM_BRANDS = 2048

_FIRST_BID_OCTAVE = 14
_FOREVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdTable:
    """Attributes of every ad of a catalog and of every version of it.

    Attributes:
        ad_key_A: [A] int64.
        advertiser_key_A: [A] int64.
        cat_l1_A: [A] int64.
        cat_l2_A: [A] int64.
        brand_A: [A] int64.
        launch_ts_A: [A] int64 epoch ms.
        rank_V: [V] int64, rank of the version's ad, ascending.
        version_ptr_A1: [A + 1] int64, versions of the ad of rank r are version_ptr[r] ..
            version_ptr[r + 1] - 1, by time.
        start_V: [V] int64 epoch ms, from when the version is valid and the ad launched.
        stop_V: [V] int64 epoch ms, exclusive: next version's start, or the stated end.
        status_V: [V] int8, `AdStatus`.
        bid_type_V: [V] int8, `BidType`.
        bid_micros_V: [V] int64 micros.
        daily_budget_V: [V] int64 micros.
        total_budget_V: [V] int64 micros.
        age_mask_V: [V] uint8.
        gender_mask_V: [V] uint8.
        device_mask_V: [V] uint8.
        freq_cap_V: [V] int8 impressions per user and day; 0: no cap.
        geo_set_V: [V] int64, row of `geo_allowed_SG`.
        geo_allowed_SG: [S, G] bool, places of each distinct geo set; the last column stands
            for every place that no set names.
    """

    ad_key_A: npt.NDArray[np.int64]
    advertiser_key_A: npt.NDArray[np.int64]
    cat_l1_A: npt.NDArray[np.int64]
    cat_l2_A: npt.NDArray[np.int64]
    brand_A: npt.NDArray[np.int64]
    launch_ts_A: npt.NDArray[np.int64]
    rank_V: npt.NDArray[np.int64]
    version_ptr_A1: npt.NDArray[np.int64]
    start_V: npt.NDArray[np.int64]
    stop_V: npt.NDArray[np.int64]
    status_V: npt.NDArray[np.int8]
    bid_type_V: npt.NDArray[np.int8]
    bid_micros_V: npt.NDArray[np.int64]
    daily_budget_V: npt.NDArray[np.int64]
    total_budget_V: npt.NDArray[np.int64]
    age_mask_V: npt.NDArray[np.uint8]
    gender_mask_V: npt.NDArray[np.uint8]
    device_mask_V: npt.NDArray[np.uint8]
    freq_cap_V: npt.NDArray[np.int8]
    geo_set_V: npt.NDArray[np.int64]
    geo_allowed_SG: npt.NDArray[np.bool_]

    @staticmethod
    def build(ads: pa.Table, ad_versions: pa.Table, trie: Trie) -> "AdTable":
        """Bring ads and versions into the rank order of a trie.

        Args:
            ads: Lake table `ads`; may hold more ads than the trie.
            ad_versions: Lake table `ad_versions`; a null `valid_to` means until the next version.
            trie: The tree that defines the ranks.

        Returns:
            The table.

        Raises:
            ArtifactError: If an ad of the trie has no row or no version.
            ContractError: If a geo set holds a negative place.
        """
        by_rank = ads.take(_rows_by_rank(ads, trie))
        known_rank = trie.rank_of_ads(_numbers(ad_versions, "ad_key")).numpy()
        start = _numbers(ad_versions, "valid_from")
        order = np.lexsort((start, known_rank))
        order = order[known_rank[order] >= 0]
        versions, rank_V = ad_versions.take(order), known_rank[order]
        _require_versions(rank_V, trie)
        launch_ts_A = _numbers(by_rank, "launch_ts")
        start_V = np.maximum(_numbers(versions, "valid_from"), launch_ts_A[rank_V])
        geo_set_V, geo_allowed_SG = _geo_sets(versions.column("geo_set"))
        return AdTable(
            ad_key_A=trie.ad_key_A.cpu().numpy(),
            advertiser_key_A=_numbers(by_rank, "advertiser_key"),
            cat_l1_A=_numbers(by_rank, "cat_l1"),
            cat_l2_A=_numbers(by_rank, "cat_l2"),
            brand_A=_numbers(by_rank, "brand"),
            launch_ts_A=launch_ts_A,
            rank_V=rank_V,
            version_ptr_A1=np.searchsorted(rank_V, np.arange(trie.num_ads + 1)),
            start_V=start_V,
            stop_V=_stop_times(rank_V, start_V, versions.column("valid_to")),
            status_V=_numbers(versions, "status").astype(np.int8),
            bid_type_V=_numbers(versions, "bid_type").astype(np.int8),
            bid_micros_V=_numbers(versions, "bid_micros"),
            daily_budget_V=_numbers(versions, "daily_budget_micros"),
            total_budget_V=_numbers(versions, "total_budget_micros"),
            age_mask_V=_numbers(versions, "age_mask").astype(np.uint8),
            gender_mask_V=_numbers(versions, "gender_mask").astype(np.uint8),
            device_mask_V=_numbers(versions, "device_mask").astype(np.uint8),
            freq_cap_V=_numbers(versions, "freq_cap_day").astype(np.int8),
            geo_set_V=geo_set_V,
            geo_allowed_SG=geo_allowed_SG,
        )

    @property
    def num_ads(self) -> int:
        """Ads A."""
        return int(self.ad_key_A.size)

    def versions_at(self, ts_B: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Find the version of every ad that is valid at each time.

        Versions are sorted by (rank, start), so their index grows with time inside an ad: each
        version is written at the first request it covers, and a running maximum carries it on.

        Args:
            ts_B: [B] int64 epoch ms, any order.

        Returns:
            [B, A] int64 version index, -1 where the ad is not launched or has no valid version.
        """
        ts_B = np.asarray(ts_B, dtype=np.int64)
        check_shape("ts_B", ts_B, (None,))
        order_B = np.argsort(ts_B, kind="stable")
        sorted_ts_B = ts_B[order_B]
        version_BA = np.full((ts_B.size, self.num_ads), -1, dtype=np.int64)
        first_row_V = np.searchsorted(sorted_ts_B, self.start_V)
        reached_V = np.flatnonzero(first_row_V < ts_B.size)
        place_V = (first_row_V[reached_V], self.rank_V[reached_V])
        np.maximum.at(version_BA, place_V, reached_V)
        np.maximum.accumulate(version_BA, axis=0, out=version_BA)
        self._clear_ended(version_BA, sorted_ts_B)
        if (order_B[1:] > order_B[:-1]).all():
            return version_BA
        return version_BA[np.argsort(order_B)]

    def _clear_ended(self, version_BA: npt.NDArray[np.int64], ts_B: npt.NDArray[np.int64]) -> None:
        """Remove versions past an end that no other version follows, in place; they are few."""
        ends_early_V = self.stop_V < _next_starts(self.rank_V, self.start_V)
        ranks = np.unique(self.rank_V[ends_early_V])
        found = version_BA[:, ranks]
        is_over = (found >= 0) & (self.stop_V[found] <= ts_B[:, None])
        version_BA[:, ranks] = np.where(is_over, -1, found)

    def version_of(
        self, ts_M: npt.NDArray[np.int64], ranks_M: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Find the valid version of single ads, each at its own time.

        Args:
            ts_M: [M] int64 epoch ms.
            ranks_M: [M] int64 ranks.

        Returns:
            [M] int64 version index, -1 where the ad is not launched or has no valid version.
        """
        ts_M, ranks_M = np.asarray(ts_M, np.int64), np.asarray(ranks_M, np.int64)
        check_shape("ts_M", ts_M, (ranks_M.size,))
        version_M = np.empty(ranks_M.size, dtype=np.int64)
        _find_versions(self.version_ptr_A1, self.start_V, self.stop_V, ts_M, ranks_M, version_M)
        return version_M

    def largest_cost(
        self, ts_M: npt.NDArray[np.int64], ranks_M: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Give the most that one impression can cost: a click or a conversion may follow it.

        Args:
            ts_M: [M] int64 epoch ms.
            ranks_M: [M] int64 ranks of ads that have a version then.

        Returns:
            [M] int64 micros; what was not spent of it is released when the outcome is known.
        """
        version_M = self.version_of(ts_M, ranks_M)
        bid_M = self.bid_micros_V[version_M]
        per_mille_M = -(-bid_M // 1000)
        return np.where(self.bid_type_V[version_M] == BidType.CPM, per_mille_M, bid_M)

    def features_at(
        self, ts_M: npt.NDArray[np.int64], ranks_M: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Give the categorical features of single ads, each at its own time.

        Args:
            ts_M: [M] int64 epoch ms.
            ranks_M: [M] int64 ranks.

        Returns:
            [M, 5] int64: bid type + 1, bid bucket, ad age bucket, category + 1, brand + 1, inside
            the sizes of the ITEM fields bid_type, price_bucket, ad_age_bucket, category, brand;
            0 where unknown.
        """
        ts_M, ranks_M = np.asarray(ts_M, np.int64), np.asarray(ranks_M, np.int64)
        return self.features_of(ts_M, ranks_M, self.version_of(ts_M, ranks_M))

    def features_of(
        self,
        ts_M: npt.NDArray[np.int64],
        ranks_M: npt.NDArray[np.int64],
        version_M: npt.NDArray[np.int64],
    ) -> npt.NDArray[np.int64]:
        """Give the categorical features of ads whose versions are known.

        Args:
            ts_M: [M] int64 epoch ms.
            ranks_M: [M] int64 ranks.
            version_M: [M] int64, from `version_of`.

        Returns:
            [M, 5] int64, as `features_at`.
        """
        has_version_M = version_M >= 0
        columns = (
            (self.bid_type_V[version_M].astype(np.int64) + 1) * has_version_M,
            bid_bucket(self.bid_micros_V[version_M]) * has_version_M,
            ad_age_bucket(ts_M - self.launch_ts_A[ranks_M]),
            np.clip(self.cat_l1_A[ranks_M] + 1, 0, NUM_CATEGORIES - 1),
            np.clip(self.brand_A[ranks_M] + 1, 0, NUM_BRANDS - 1),
        )
        return np.stack(columns, axis=1).astype(np.int64)


def bid_bucket(bid_micros_M: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Put bids into buckets of one octave, from 0.016 to 268 currency units.

    Args:
        bid_micros_M: [M] int64 micros.

    Returns:
        [M] int64 in 1..15; 0 for a bid <= 0.

    Example:
        >>> bid_bucket(np.array([0, 1, 20_000_000, 10**12])).tolist()
        [0, 1, 11, 15]
    """
    octave_M = np.floor(np.log2(np.maximum(bid_micros_M, 1))).astype(np.int64)
    bucket_M = np.clip(octave_M - _FIRST_BID_OCTAVE + 1, 1, NUM_BID_BUCKETS)
    return np.where(np.asarray(bid_micros_M) > 0, bucket_M, 0)


def ad_age_bucket(age_ms_M: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Put ad ages into buckets: less than 1, 3, 7, 15, 31, 63 days, older.

    Args:
        age_ms_M: [M] int64 ms since launch.

    Returns:
        [M] int64 in 1..7; 0 before launch.

    Example:
        >>> ad_age_bucket(np.array([-1, 0, 1, 3, 63]) * 86_400_000).tolist()
        [0, 1, 2, 3, 7]
    """
    days_M = np.maximum(np.asarray(age_ms_M) // DAY_MS, 0)
    bucket_M = np.clip(np.floor(np.log2(days_M + 1)).astype(np.int64) + 1, 1, NUM_AGE_BUCKETS)
    return np.where(np.asarray(age_ms_M) >= 0, bucket_M, 0)


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.int64]:
    """Read an integer column as int64."""
    return np.asarray(table.column(name).to_numpy()).astype(np.int64)


def _rows_by_rank(ads: pa.Table, trie: Trie) -> npt.NDArray[np.int64]:
    """Find the row of each rank's ad."""
    rank_of_row = trie.rank_of_ads(_numbers(ads, "ad_key")).numpy()
    row_A = np.full(trie.num_ads, -1, dtype=np.int64)
    is_known = rank_of_row >= 0
    row_A[rank_of_row[is_known]] = np.flatnonzero(is_known)
    _require_all(row_A >= 0, trie, "no row in the table ads")
    return row_A


def _require_versions(rank_V: npt.NDArray[np.int64], trie: Trie) -> None:
    """Refuse ads without any version."""
    has_version_A = np.bincount(rank_V, minlength=trie.num_ads) > 0
    _require_all(has_version_A, trie, "no row in the table ad_versions")


def _require_all(is_there_A: npt.NDArray[np.bool_], trie: Trie, what: str) -> None:
    """Refuse a catalog with ads that lack something."""
    missing = trie.ad_key_A.cpu().numpy()[~is_there_A]
    if missing.size:
        raise ArtifactError(
            f"{missing.size} ads of the trie have {what}, for example {missing[:5].tolist()}",
            where="catalog",
            fix="build trie and tables from one corpus",
        )


def _stop_times(
    rank_V: npt.NDArray[np.int64], start_V: npt.NDArray[np.int64], valid_to: pa.ChunkedArray
) -> npt.NDArray[np.int64]:
    """End each version at its stated end or at the next version's start, whichever is first."""
    stated_V = np.asarray(pc.fill_null(valid_to, _FOREVER).to_numpy()).astype(np.int64)
    return np.asarray(np.minimum(stated_V, _next_starts(rank_V, start_V)))


def _next_starts(
    rank_V: npt.NDArray[np.int64], start_V: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Give the start of the next version of the same ad, or the end of time."""
    next_V = np.full(rank_V.size, _FOREVER)
    is_followed_V = rank_V[1:] == rank_V[:-1]
    next_V[:-1][is_followed_V] = start_V[1:][is_followed_V]
    return next_V


def _geo_sets(
    column: pa.ChunkedArray,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Number the distinct geo sets and tabulate which places each one holds."""
    sets = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    place = np.asarray(sets.flatten().to_numpy(zero_copy_only=False)).astype(np.int64)
    size_V = np.asarray(pc.fill_null(pc.list_value_length(sets), 0)).astype(np.int64)
    owner = np.repeat(np.arange(size_V.size), size_V)
    if place.min(initial=0) < 0:
        raise ContractError(
            f"geo sets hold the place {place.min()}, expected values >= 0",
            where="ad_versions.geo_set",
            fix="curate the ad versions",
        )
    num_places = int(place.max(initial=-1)) + 1
    allowed_VG = np.zeros((size_V.size, num_places + 1), dtype=bool)
    allowed_VG[owner, place] = True
    allowed_VG[size_V == 0] = True
    bits_VX = np.packbits(allowed_VG, axis=1)
    _, first, geo_set_V = np.unique(bits_VX, axis=0, return_index=True, return_inverse=True)
    return geo_set_V.reshape(-1).astype(np.int64), allowed_VG[first]


@compiled
def _find_versions(
    version_ptr_A1: npt.NDArray[np.int64],
    start_V: npt.NDArray[np.int64],
    stop_V: npt.NDArray[np.int64],
    ts_M: npt.NDArray[np.int64],
    rank_M: npt.NDArray[np.int64],
    version_M: npt.NDArray[np.int64],
) -> None:
    """Fill in the version that is valid for each ad at its time, -1 where there is none."""
    for idx in range(rank_M.size):
        first, end = version_ptr_A1[rank_M[idx]], version_ptr_A1[rank_M[idx] + 1]
        version = first - 1 + np.searchsorted(start_V[first:end], ts_M[idx], side="right")
        is_valid = version >= first and ts_M[idx] < stop_V[version]
        version_M[idx] = version if is_valid else -1
