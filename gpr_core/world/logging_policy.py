"""Who gets which ad: the logging cascade, running hour by hour against a live ledger.

B = requests of an hour, K = ads that run in it, N = candidates, A = ads, M = impressions.

Source: specification 6.2.
"""

from collections import defaultdict
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.baselines.cascade import (
    CascadeConfig,
    Choice,
    prerank,
    retrieve,
    run_auction,
    second_price_micros,
    winning_weights,
)
from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.data.tables import DAY_MS, HOUR_MS, AdStatus
from gpr_core.objectives.final_value import ecpm
from gpr_core.world.config import WorldConfig
from gpr_core.world.economics import MarketDay, Targeting, bid_types, targeted
from gpr_core.world.rankers import Predictions, Ranking, Scores
from gpr_core.world.sessions import Requests
from gpr_core.world.taxonomy import Floats, Ints
from gpr_core.world.users import Population

_GOLDEN_RATIO = 0.6180339887498949
# Requests ranked together; bounds memory, changes nothing.
_MAX_ROWS = 256

Bools = npt.NDArray[np.bool_]


class Served(NamedTuple):
    """Impressions of a day, in time order.

    Attributes:
        row_M: [M] int64, row of the request.
        ad_M: [M] int64, row of the ad.
        price_M: [M] int64 micros.
        bid_M: [M] int64 micros.
        bid_type_M: [M] int64.
        predicted: Predictions at serve time.
        ecpm_M: [M] float64.
        propensity_M: [M] float64.
        num_eligible_M: [M] int64.
        spent_day_M: [M] int64 micros, spent by the ad on this day, this impression included.
        spent_total_M: [M] int64 micros, spent by the ad ever, this impression included.
    """

    row_M: Ints
    ad_M: Ints
    price_M: Ints
    bid_M: Ints
    bid_type_M: Ints
    predicted: Predictions
    ecpm_M: Floats
    propensity_M: Floats
    num_eligible_M: Ints
    spent_day_M: Ints
    spent_total_M: Ints


class CascadeRun:
    """The cascade on one day.

    Within an hour retrieval and ranking use the ledger of the full hour, as a platform that
    refreshes its index would; the auction itself checks the ledger of the very moment, so that no
    ad is shown after its budget is gone.

    Args:
        config: The world.
        population: The people.
        targeting: Whom the ads want.
        ranking: The rankers, with the requests and profiles of the day.
        requests: Requests of the day.
        market: The market of the day.
    """

    def __init__(
        self,
        config: WorldConfig,
        population: Population,
        targeting: Targeting,
        ranking: Ranking,
        requests: Requests,
        market: MarketDay,
    ) -> None:
        self._seed = config.seed
        self._cells = population.cells
        self._targeting = targeting
        self._ranking = ranking
        self._requests = requests
        self._bid_type_A = bid_types(config, len(market.is_new_A))
        self._ledger = _Ledger(market, targeting)
        self._cascade = CascadeConfig(
            num_retrieved=config.num_retrieved,
            num_preranked=config.num_preranked,
            exploration_rate=config.exploration_rate,
        )

    def serve(self, day: int) -> Served:
        """Decide all requests in time order.

        Args:
            day: Day ordinal.

        Returns:
            The impressions; a request without an eligible ad has none.
        """
        draws_B2 = self._draws(day)
        hour_B = (self._requests.ts_B - day * DAY_MS) // HOUR_MS
        shown: list[_Shown] = []
        for hour in range(DAY_MS // HOUR_MS):
            [rows] = np.nonzero(hour_B == hour)
            bid_A, running_K = self._ledger.enter_hour(hour)
            indexed_K = self._ledger.has_budget_K.copy()
            for first in range(0, len(rows), _MAX_ROWS):
                some = rows[first : first + _MAX_ROWS]
                ranked = self._rank(some, bid_A, running_K, indexed_K)
                shown += self._settle(ranked, draws_B2[some])
        return _columns(shown, self._bid_type_A)

    def _draws(self, day: int) -> Floats:
        """Draw two uniforms per request: explore or not, and which ad."""
        # Systematic sampling: one random start per day and golden-ratio steps, so that each request
        # explores with the configured probability while the daily share hardly varies.
        keys_B = self._requests.key_B
        start = float(keyed_uniform(self._seed, "explore_start", day))
        step_B = (start + _GOLDEN_RATIO * np.arange(len(keys_B))) % 1.0
        return np.stack([step_B, keyed_uniform(self._seed, "auction_pick", keys_B)], axis=1)

    def _rank(self, rows: Ints, bid_A: Ints, running_K: Ints, indexed_K: Bools) -> "_Ranked":
        """Retrieve, pre-rank and rank for some requests of one hour."""
        user_B, cells = self._requests.user_B[rows], self._cells
        wanted_BK = targeted(
            self._targeting,
            cells.age_bucket[user_B],
            cells.gender[user_B],
            self._requests.device_B[rows],
            cells.geo_l2[user_B],
            running_K,
        )
        pool_BN = retrieve(
            self._ranking.retrieval(rows, running_K),
            wanted_BK & indexed_K,
            self._cascade.num_retrieved,
        )
        raw = self._ranking.scores(rows[:, None], running_K[pool_BN])
        keep_BN = prerank(pool_BN, raw.click, self._cascade.num_preranked)
        pool_BN = np.take_along_axis(pool_BN, keep_BN, axis=1)
        raw = Scores(*(np.take_along_axis(values, keep_BN, axis=1) for values in raw))
        predicted, ad_BN = self._ranking.predict(raw), running_K[pool_BN]
        ecpm_BN = ecpm(self._bid_type_A[ad_BN], bid_A[ad_BN], predicted.p_ctr, predicted.p_cvr)
        weight_BN = winning_weights(ecpm_BN, pool_BN, self._cascade.sharpness)
        return _Ranked(rows, bid_A, running_K, wanted_BK, pool_BN, predicted, ecpm_BN, weight_BN)

    def _settle(self, ranked: "_Ranked", draws_B2: Floats) -> "list[_Shown]":
        """Hold the auctions one by one: each spends budget that the next one sees."""
        shown = []
        for idx, row in enumerate(ranked.rows.tolist()):
            user = int(self._requests.user_B[row])
            choice = run_auction(
                ranked.pool_BN[idx],
                ranked.ecpm_BN[idx],
                ranked.weight_BN[idx],
                self._ledger.open_to(user, ranked.wanted_BK[idx]),
                (float(draws_B2[idx, 0]), float(draws_B2[idx, 1])),
                self._cascade.exploration_rate,
            )
            if choice.ad_idx < 0:
                continue
            ad = int(ranked.running_K[choice.ad_idx])
            bid = int(ranked.bid_A[ad])
            predicted, own = self._quote(ranked, idx, ad, choice)
            price = second_price_micros(own, choice.runner_up_ecpm, self._cascade.reserve_ecpm)
            spent = self._ledger.charge(user, choice.ad_idx, price)
            shown.append(_Shown(row, ad, price, bid, predicted, own, choice, spent))
        return shown

    def _quote(
        self, ranked: "_Ranked", idx: int, ad: int, choice: Choice
    ) -> tuple[tuple[float, ...], float]:
        """Give the predictions and the eCPM of the chosen ad; explored ads are scored only now."""
        if choice.slot >= 0:
            predicted = tuple(float(part[idx, choice.slot]) for part in ranked.predicted)
            return predicted, float(ranked.ecpm_BN[idx, choice.slot])
        raw = self._ranking.scores(ranked.rows[idx : idx + 1], np.array([ad]))
        predicted = tuple(float(part[0]) for part in self._ranking.predict(raw))
        bid, kind = ranked.bid_A[ad], self._bid_type_A[ad]
        return predicted, float(ecpm(kind, bid, predicted[0], predicted[1]))


class _Ranked(NamedTuple):
    """Everything the auctions of some requests need."""

    rows: Ints
    bid_A: Ints
    running_K: Ints
    wanted_BK: Bools
    pool_BN: Ints
    predicted: Predictions
    ecpm_BN: Floats
    weight_BN: Floats


class _Shown(NamedTuple):
    """One impression while the day runs; `spent` is by the ad today and ever."""

    row: int
    ad: int
    price: int
    bid: int
    predicted: tuple[float, ...]
    ecpm: float
    choice: Choice
    spent: tuple[int, int]


class _Ledger:
    """Money spent so far, and who saw which ad how often today."""

    def __init__(self, market: MarketDay, targeting: Targeting) -> None:
        self._market = market
        self._freq_cap_A = targeting.freq_cap_A
        self._spent_day_A = np.zeros(len(market.is_new_A), dtype=np.int64)
        self._spent_total_A = market.before.spent_total_A.copy()
        self._seen: dict[tuple[int, int], int] = defaultdict(int)
        self._capped: dict[int, list[int]] = defaultdict(list)
        self._limit_day_A = self._limit_total_A = self._spent_day_A
        self._running_K = np.zeros(0, dtype=np.int64)
        self.has_budget_K = np.zeros(0, dtype=bool)

    def enter_hour(self, hour: int) -> tuple[Ints, Ints]:
        """Apply the changes of this hour; give bids and the ads that run."""
        market = self._market
        is_after_A = market.change_hour_A <= hour
        before, after = market.before, market.after
        status_A = np.where(is_after_A, after.status_A, before.status_A)
        runs_A = (status_A == AdStatus.ACTIVE) & (market.launch_hour_A <= hour)
        self._running_K = np.flatnonzero(runs_A)
        self._limit_day_A = np.where(is_after_A, after.daily_budget_A, before.daily_budget_A)
        self._limit_total_A = np.where(is_after_A, after.total_budget_A, before.total_budget_A)
        self.has_budget_K = (self._spent_day_A < self._limit_day_A)[self._running_K]
        self.has_budget_K &= (self._spent_total_A < self._limit_total_A)[self._running_K]
        return np.where(is_after_A, after.bid_micros_A, before.bid_micros_A), self._running_K

    def open_to(self, user: int, wanted_K: Bools) -> Bools:
        """Say which running ads may be shown to this user right now."""
        open_K = wanted_K & self.has_budget_K
        for ad in self._capped.get(user, ()):
            open_K[self._running_K == ad] = False
        return open_K

    def charge(self, user: int, slot: int, price: int) -> tuple[int, int]:
        """Bill one impression; give what the ad has spent today and ever."""
        ad = int(self._running_K[slot])
        self._spent_day_A[ad] += price
        self._spent_total_A[ad] += price
        day, total = int(self._spent_day_A[ad]), int(self._spent_total_A[ad])
        if day >= self._limit_day_A[ad] or total >= self._limit_total_A[ad]:
            self.has_budget_K[slot] = False
        self._seen[user, ad] += 1
        if self._seen[user, ad] == self._freq_cap_A[ad]:
            self._capped[user].append(ad)
        return day, total


def _columns(shown: list[_Shown], bid_type_A: Ints) -> Served:
    """Turn impressions into columns."""
    ints = np.array(
        [
            (one.row, one.ad, one.price, one.bid, one.choice.num_eligible, *one.spent)
            for one in shown
        ],
        dtype=np.int64,
    ).reshape(-1, 7)
    floats = np.array([(one.ecpm, one.choice.propensity) for one in shown]).reshape(-1, 2)
    predicted = np.array([one.predicted for one in shown], dtype=np.float32).reshape(-1, 3)
    row_M, ad_M, price_M, bid_M, num_eligible_M, spent_day_M, spent_total_M = ints.T.copy()
    return Served(
        row_M=row_M,
        ad_M=ad_M,
        price_M=price_M,
        bid_M=bid_M,
        bid_type_M=bid_type_A[ad_M],
        predicted=Predictions(*predicted.T.copy()),
        ecpm_M=floats[:, 0].copy(),
        propensity_M=floats[:, 1].copy(),
        num_eligible_M=num_eligible_M,
        spent_day_M=spent_day_M,
        spent_total_M=spent_total_M,
    )
