"""What the rankers look at: user, ad and context attributes, and counts as of the request.

Nothing identifies a user or an ad: an ad is known by its attributes and by smoothed rates of its
category, brand and advertiser, so that a new ad has features, too. Every count uses only what had
become known before the request. Letters: M (request, ad) pairs, F features, E events, A ads.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import DAY_MS, HOUR_MS, Action, OrganicAction, TokenKind
from gpr_core.simulation.as_of_counts import AsOfCounter, Ints, codes_of, dense_codes

CONTEXT_COLUMNS = (
    "age_bucket", "gender", "geo_l1", "device", "scene", "position", "placement", "os", "net",
)  # fmt: skip

NOMINAL_FEATURES = (
    *CONTEXT_COLUMNS, "hour", "weekday", "cat_l1", "cat_l2", "brand", "bid_type",
)  # fmt: skip
"""Features whose numbers are names, without an order."""

_RATE_STRENGTH = 20.0
_MAX_CATEGORY = 1 << 10
_FLOAT32 = np.float32

Floats = npt.NDArray[np.float32]


def ad_events(timelines: pa.Table) -> pa.Table:
    """Take the outcomes of ads from timelines.

    Args:
        timelines: Curated timelines.

    Returns:
        One row per ad token: user_key, request_key, ad_key, action, ingest_ts.
    """
    rows = timelines.filter(pc.equal(timelines["kind"], int(TokenKind.ITEM)))
    return pa.table(
        {
            "user_key": rows["user_key"],
            "request_key": rows["request_key"],
            "ad_key": rows["item_key"],
            "action": rows["action"],
            "ingest_ts": rows["ingest_ts"],
        }
    )


def organic_events(timelines: pa.Table) -> pa.Table:
    """Take what users did with organic content from timelines.

    Args:
        timelines: Curated timelines; fields 4 and 5 of organic tokens are category and brand.

    Returns:
        One row per organic token: user_key, category, brand, is_liked (not skipped), ingest_ts.
    """
    rows = timelines.filter(pc.equal(timelines["kind"], int(TokenKind.ORGANIC)))
    return pa.table(
        {
            "user_key": rows["user_key"],
            "category": pc.subtract(pc.cast(rows["f4"], pa.int64()), 1),
            "brand": pc.subtract(pc.cast(rows["f5"], pa.int64()), 1),
            "is_liked": pc.not_equal(rows["action"], int(OrganicAction.SKIP)),
            "ingest_ts": rows["ingest_ts"],
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RankerFeatures:
    """Feature builder over the events known to a snapshot.

    Attributes:
        ad_table: Attributes of the ads, in rank order.
        advertiser_A: [A] int64 dense advertiser codes.
        users: Sorted user keys with any event.
        counters: Name -> counts of events per key.
        base_rates: Outcome -> rate over all impressions, the center of smoothed rates.
    """

    ad_table: AdTable
    advertiser_A: Ints
    users: Ints
    counters: dict[str, AsOfCounter]
    base_rates: dict[str, float]

    @staticmethod
    def build(
        ad_rows: pa.Table, organic_rows: pa.Table, ad_table: AdTable, trie: Trie
    ) -> "RankerFeatures":
        """Index all events.

        Args:
            ad_rows: From `ad_events`.
            organic_rows: From `organic_events`.
            ad_table: Attributes of the ads.
            trie: Gives the ranks; events of ads outside the catalog are dropped.

        Returns:
            The builder.
        """
        rank_E = trie.rank_of_ads(_ints(ad_rows, "ad_key")).numpy()
        ad_rows, rank_E = ad_rows.filter(pa.array(rank_E >= 0)), rank_E[rank_E >= 0]
        ad_user, organic_user = _ints(ad_rows, "user_key"), _ints(organic_rows, "user_key")
        users = np.union1d(ad_user, organic_user)
        _, advertiser_A = dense_codes(ad_table.advertiser_key_A)
        action_E, ts_E = _ints(ad_rows, "action"), _ints(ad_rows, "ingest_ts")
        user_E = codes_of(users, ad_user)
        keys = _ad_keys(ad_table, advertiser_A, user_E, rank_E)
        counters = {}
        for outcome in (Action.IMPRESSION, Action.CLICK, Action.HIDE):
            chosen = action_E == outcome
            for name, key_E in keys.items():
                counters[f"{name}.{outcome.name}"] = AsOfCounter(key_E[chosen], ts_E[chosen])
        counters |= _organic_counters(organic_rows, codes_of(users, organic_user))
        count = np.bincount(action_E, minlength=len(Action))
        return RankerFeatures(
            ad_table=ad_table,
            advertiser_A=advertiser_A,
            users=users,
            counters=counters,
            base_rates={
                "CLICK": (count[Action.CLICK] + 0.5) / (count[Action.IMPRESSION] + 50.0),
                "HIDE": (count[Action.HIDE] + 0.05) / (count[Action.IMPRESSION] + 50.0),
            },
        )

    def matrix(self, requests: pa.Table, row_M: Ints, rank_M: Ints) -> Floats:
        """Build the features of (request, ad) pairs.

        Args:
            requests: Table with user_key, ts and the context columns.
            row_M: [M] int64, row of the request.
            rank_M: [M] int64, catalog rank of the ad.

        Returns:
            [M, F] float32, columns as in `feature_names`.
        """
        ts_M = _ints(requests, "ts")[row_M]
        user_M = codes_of(self.users, _ints(requests, "user_key")[row_M])
        context = [_ints(requests, name)[row_M] for name in CONTEXT_COLUMNS]
        context += [ts_M // HOUR_MS % 24, (ts_M // DAY_MS + 3) % 7]
        keys = _ad_keys(self.ad_table, self.advertiser_A, user_M, rank_M)
        columns = [*context, *self._ad_columns(ts_M, rank_M)]
        for name, key_M in keys.items():
            columns += self._rates(name, key_M, ts_M)
        columns += self._interest(user_M, rank_M, ts_M)
        return np.stack([column.astype(_FLOAT32) for column in columns], axis=1)

    def _ad_columns(self, ts_M: Ints, rank_M: Ints) -> list[npt.NDArray[np.generic]]:
        """Attributes of the ad at the request's time."""
        table = self.ad_table
        version_M = table.version_of(ts_M, rank_M)
        age_days = np.maximum(ts_M - table.launch_ts_A[rank_M], 0) / DAY_MS
        return [
            table.cat_l1_A[rank_M],
            table.cat_l2_A[rank_M],
            table.brand_A[rank_M],
            table.bid_type_V[version_M],
            np.log1p(table.bid_micros_V[version_M].astype(np.float64)),
            age_days,
        ]

    def _rates(self, name: str, key_M: Ints, ts_M: Ints) -> list[npt.NDArray[np.float64]]:
        """Log impressions and smoothed click and hide rates of one kind of key."""
        shown = self.counters[f"{name}.IMPRESSION"].before(key_M, ts_M).astype(np.float64)
        columns = [np.log1p(shown)]
        for outcome in ("CLICK", "HIDE"):
            hits = self.counters[f"{name}.{outcome}"].before(key_M, ts_M)
            prior = self.base_rates[outcome] * _RATE_STRENGTH
            columns.append((hits + prior) / (shown + _RATE_STRENGTH))
        return columns

    def _interest(self, user_M: Ints, rank_M: Ints, ts_M: Ints) -> list[npt.NDArray[np.float64]]:
        """Organic interest of the user in the ad's category and brand, recent and overall."""
        category_M = _pair(user_M, self.ad_table.cat_l1_A[rank_M], _MAX_CATEGORY)
        brand_M = _pair(user_M, self.ad_table.brand_A[rank_M], 1 << 16)
        liked, all_liked = self.counters["organic.category"], self.counters["organic.user"]
        columns = []
        for window in (DAY_MS, 3 * DAY_MS, None):
            mine = liked.before(category_M, ts_M, window).astype(np.float64)
            total = all_liked.before(user_M, ts_M, window).astype(np.float64)
            columns += [np.log1p(mine), mine / (total + 5.0)]
        skipped = self.counters["organic.skipped"].before(category_M, ts_M)
        columns.append(np.log1p(skipped.astype(np.float64)))
        columns.append(
            np.log1p(self.counters["organic.brand"].before(brand_M, ts_M).astype(np.float64))
        )
        return columns


def feature_names() -> list[str]:
    """Name the columns of `RankerFeatures.matrix`.

    Returns:
        F names in column order.
    """
    names = [*CONTEXT_COLUMNS, "hour", "weekday", "cat_l1", "cat_l2", "brand", "bid_type"]
    names += ["log_bid", "ad_age_days"]
    for key in ("ad", "advertiser", "category", "brand", "user", "user_category", "user_ad"):
        names += [f"{key}_log_shown", f"{key}_ctr", f"{key}_hide_rate"]
    for window in ("1d", "3d", "all"):
        names += [f"interest_{window}_log", f"interest_{window}_share"]
    return [*names, "interest_skipped_log", "interest_brand_log"]


def _ad_keys(ad_table: AdTable, advertiser_A: Ints, user_M: Ints, rank_M: Ints) -> dict[str, Ints]:
    """Give the key of each pair for every kind of counter, in column order."""
    category_M = ad_table.cat_l1_A[rank_M]
    return {
        "ad": rank_M,
        "advertiser": advertiser_A[rank_M],
        "category": category_M,
        "brand": ad_table.brand_A[rank_M],
        "user": user_M,
        "user_category": _pair(user_M, category_M, _MAX_CATEGORY),
        "user_ad": _pair(user_M, rank_M, ad_table.num_ads),
    }


def _organic_counters(rows: pa.Table, user_E: Ints) -> dict[str, AsOfCounter]:
    """Index organic events by user, category and brand."""
    ts_E = _ints(rows, "ingest_ts")
    category_E = _pair(user_E, _ints(rows, "category"), _MAX_CATEGORY)
    brand_E = _pair(user_E, _ints(rows, "brand"), 1 << 16)
    liked = np.asarray(rows["is_liked"].to_numpy(zero_copy_only=False)).astype(bool)
    return {
        "organic.user": AsOfCounter(user_E[liked], ts_E[liked]),
        "organic.category": AsOfCounter(category_E[liked], ts_E[liked]),
        "organic.brand": AsOfCounter(brand_E[liked], ts_E[liked]),
        "organic.skipped": AsOfCounter(category_E[~liked], ts_E[~liked]),
    }


def _pair(user_M: Ints, other_M: Ints, size: int) -> Ints:
    """Join a user code with another code; -1 if either is unknown."""
    return np.where((user_M < 0) | (other_M < 0), -1, user_M * size + other_M)


def _ints(table: pa.Table, name: str) -> Ints:
    """Read an integer column as int64; keys lie below 2**63."""
    return np.asarray(table[name].to_numpy()).astype(np.int64)
