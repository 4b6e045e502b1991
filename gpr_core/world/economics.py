"""The advertisers' side: launches, bids, budgets, revisions, pauses, endings and targeting.

A = ads launched so far. Everything that changes does so on a full hour, and at most once per ad
and day, so that the state of the market is constant within an hour.

Source: specification 6.2.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.data.days import day_start_ms, parse_day
from gpr_core.data.keyed_sampling import keyed_normal, keyed_uniform
from gpr_core.data.tables import DAY_MS, HOUR_MS, AdStatus, BidType
from gpr_core.world.config import WorldConfig
from gpr_core.world.taxonomy import AdCatalog, Floats, Ints
from gpr_core.world.users import Population

NEVER_HOUR = 24

_BID_TYPE_EDGES = (0.2, 0.5)
_MEDIAN_ECPM = 20.0
_GEM_FACTOR = 3.0
_BUDGET_SIGMA = 0.9
_REVISION_RATE, _PAUSE_RATE, _RESUME_RATE = 0.03, 0.008, 0.5
_RESTRICTED_SHARE = 0.6
_LAUNCH_HOURS = 12
_AGE_BITS, _GENDER_BITS, _DEVICE_BITS = 7, 3, 5
_BACKLOG_DAYS = 60

Bools = npt.NDArray[np.bool_]


class Market(NamedTuple):
    """What may change about the ads launched so far, at the end of a day.

    Attributes:
        bid_micros_A: [A] int64.
        daily_budget_A: [A] int64 micros.
        total_budget_A: [A] int64 micros.
        status_A: [A] int64, `AdStatus`.
        spent_total_A: [A] int64 micros.
    """

    bid_micros_A: Ints
    daily_budget_A: Ints
    total_budget_A: Ints
    status_A: Ints
    spent_total_A: Ints


class MarketDay(NamedTuple):
    """One day of the market.

    Attributes:
        before: State at the first moment of the day, with the ads launched on it.
        after: State after the last change of the day.
        change_hour_A: [A] int64, hour in which `after` replaces `before`; 24 = no change.
        launch_hour_A: [A] int64, hour of the launch; 0 for ads of earlier days.
        is_new_A: [A] bool, launched on this day.
    """

    before: Market
    after: Market
    change_hour_A: Ints
    launch_hour_A: Ints
    is_new_A: Bools


class Targeting(NamedTuple):
    """Whom the advertiser wants; fixed for the life of an ad.

    Attributes:
        age_mask_A: [A] int64, bit b: age bucket b.
        gender_mask_A: [A] int64, bit b: gender b.
        device_mask_A: [A] int64, bit b: device tier b.
        geo_ok_GA: [cities + 1, A] bool, row 0: city unknown.
        is_everywhere_A: [A] bool, no restriction of place.
        freq_cap_A: [A] int64, impressions per user and day, 1..3.
    """

    age_mask_A: Ints
    gender_mask_A: Ints
    device_mask_A: Ints
    geo_ok_GA: Bools
    is_everywhere_A: Bools
    freq_cap_A: Ints


def num_ads_by(config: WorldConfig, days_passed: int) -> int:
    """Count the ads launched by the end of a day.

    Args:
        config: The world.
        days_passed: Landed days including this one.

    Returns:
        A; `num_ads` were there before the first day.
    """
    return config.num_ads + round(config.launch_rate * config.num_ads) * days_passed


def num_content_by(config: WorldConfig, days_passed: int) -> int:
    """Count the organic items published by the end of a day.

    Args:
        config: The world.
        days_passed: Landed days including this one.

    Returns:
        Items; `num_content` were there before the first day.
    """
    return config.num_content + round(config.publish_rate * config.num_content) * days_passed


def launch_ts(config: WorldConfig, num_ads: int) -> Ints:
    """Give the launch of each ad: within 60 days before the world, or on its day.

    Args:
        config: The world.
        num_ads: A.

    Returns:
        [A] int64 epoch ms, on a full hour.
    """
    row_A, first = np.arange(num_ads), day_start_ms(parse_day(config.first_day))
    draw_A = keyed_uniform(config.seed, "launch", row_A)
    backlog_A = first - HOUR_MS * (1 + np.floor(24 * _BACKLOG_DAYS * draw_A).astype(np.int64))
    per_day = max(round(config.launch_rate * config.num_ads), 1)
    day_A = (row_A - config.num_ads) // per_day
    hour_A = np.floor(_LAUNCH_HOURS * draw_A).astype(np.int64)
    return np.where(row_A < config.num_ads, backlog_A, first + day_A * DAY_MS + hour_A * HOUR_MS)


def bid_types(config: WorldConfig, num_ads: int) -> Ints:
    """Draw what each advertiser pays for.

    Args:
        config: The world.
        num_ads: A.

    Returns:
        [A] int64, `BidType`; 20 % CPM, 30 % CPC, 50 % OCPA.
    """
    draw_A = keyed_uniform(config.seed, "bid_type", np.arange(num_ads))
    return np.searchsorted(_BID_TYPE_EDGES, draw_A)


def first_market(config: WorldConfig, ads: AdCatalog, population: Population) -> Market:
    """Draw the first bids and budgets of all ads.

    Log bids correlate by `bid_affinity_correlation` with how much the population likes an ad's
    category: relevance and value disagree.

    Args:
        config: The world.
        ads: The first A ads.
        population: The people.

    Returns:
        The market, all ads active.
    """
    seed, row_A = config.seed, np.arange(len(ads.key_A))
    liked_C = np.exp(population.group_UC).mean(axis=0)
    liked_C = (liked_C - liked_C.mean()) / max(float(liked_C.std()), 1e-9)
    rho = config.bid_affinity_correlation
    z_A = rho * liked_C[ads.category_A] + np.sqrt(1 - rho**2) * keyed_normal(seed, "bid", row_A)
    ecpm_A = _MEDIAN_ECPM * np.exp(config.bid_sigma * z_A)
    ecpm_A = np.where(ads.is_gem_A, _GEM_FACTOR * ecpm_A, ecpm_A)
    kind_A = bid_types(config, len(row_A))
    per_click = 1000.0 * config.base_ctr
    unit = np.array([1.0, per_click, per_click * config.base_cvr])
    assert (BidType.CPM, BidType.CPC, BidType.OCPA) == (0, 1, 2)  # noqa: S101 - order of `unit`
    bid_A = np.maximum(ecpm_A / unit[kind_A] * 1e6, 1.0).astype(np.int64)
    impressions_A = config.budget_impressions * np.exp(
        _BUDGET_SIGMA * keyed_normal(seed, "budget", row_A)
    )
    daily_A = np.maximum(ecpm_A * 1000.0 * impressions_A, 1000.0).astype(np.int64)
    days_A = 30 + np.floor(150 * keyed_uniform(seed, "budget_days", row_A))
    return Market(
        bid_micros_A=bid_A,
        daily_budget_A=daily_A,
        total_budget_A=(daily_A * days_A).astype(np.int64),
        status_A=np.full(len(row_A), int(AdStatus.ACTIVE), dtype=np.int64),
        spent_total_A=np.zeros(len(row_A), dtype=np.int64),
    )


def next_market_day(
    config: WorldConfig, first: Market, yesterday: Market, day: int, num_ads: int
) -> MarketDay:
    """Let a day begin: new ads launch, others end, pause, resume or get revised.

    Args:
        config: The world.
        first: First bids and budgets of at least `num_ads` ads.
        yesterday: State after the day before, of the ads launched until then.
        day: Day ordinal.
        num_ads: Ads launched by the end of this day.

    Returns:
        The market of the day.
    """
    seed, row_A = config.seed, np.arange(num_ads)
    is_new_A = row_A >= len(yesterday.status_A)
    before = Market(
        *(np.r_[old, new[len(old) : num_ads]] for old, new in zip(yesterday, first, strict=True))
    )
    is_active_A = (before.status_A == AdStatus.ACTIVE) & ~is_new_A
    is_paused_A = before.status_A == AdStatus.PAUSED
    draw_A = keyed_uniform(seed, "market_change", row_A, day)
    ends_A = is_active_A & (draw_A < config.launch_rate)
    rest_A = (draw_A - config.launch_rate) / max(1.0 - config.launch_rate, 1e-9)
    pauses_A = is_active_A & ~ends_A & (rest_A < _PAUSE_RATE)
    revises_A = is_active_A & ~ends_A & ~pauses_A & (rest_A < _PAUSE_RATE + _REVISION_RATE)
    resumes_A = is_paused_A & (draw_A < _RESUME_RATE)
    status_A = before.status_A.copy()
    status_A[ends_A] = AdStatus.ENDED
    status_A[pauses_A] = AdStatus.PAUSED
    status_A[resumes_A] = AdStatus.ACTIVE
    hour_A = np.floor(24 * keyed_uniform(seed, "change_hour", row_A, day)).astype(np.int64)
    changes_A = ends_A | pauses_A | revises_A | resumes_A
    after = _revised(seed, before, status_A, revises_A, day)
    launch_hour_A = launch_ts(config, num_ads) // HOUR_MS - day * 24
    return MarketDay(
        before=before,
        after=after,
        change_hour_A=np.where(changes_A, hour_A, NEVER_HOUR),
        launch_hour_A=np.where(is_new_A, launch_hour_A, 0),
        is_new_A=is_new_A,
    )


def build_targeting(config: WorldConfig, ads: AdCatalog) -> Targeting:
    """Draw whom each ad may be shown to; 60 % restrict something, most of them several things.

    Args:
        config: The world.
        ads: The ads.

    Returns:
        Masks; the bit of "unknown" is drawn too, because unknown is a value like any other.
    """
    seed, row_A = config.seed, np.arange(len(ads.key_A))
    is_free_A = keyed_uniform(seed, "restricted", row_A) > _RESTRICTED_SHARE
    is_free_A |= ads.is_gem_A
    first_A = np.floor(4 * keyed_uniform(seed, "restricted_first", row_A))

    def restricts(which: int, name: str) -> Bools:
        also_A = keyed_uniform(seed, f"restricted_{name}", row_A) < 0.45
        return np.asarray(~is_free_A & ((first_A == which) | also_A))

    age_A = _window_mask(seed, row_A)
    gender_A = np.where(keyed_uniform(seed, "target_gender", row_A) < 0.5, 0b010, 0b100)
    gender_A = gender_A | (keyed_uniform(seed, "target_gender_unknown", row_A) < 0.5)
    device_A = np.where(keyed_uniform(seed, "target_device", row_A) < 0.5, 0b11100, 0b00111)
    city_GA = keyed_uniform(seed, "target_city", np.arange(config.num_cities + 1)[:, None], row_A)
    geo_ok_GA = (city_GA < 0.6) & (np.arange(config.num_cities + 1) > 0)[:, None]
    geo_ok_GA[1] |= ~geo_ok_GA.any(axis=0)
    is_everywhere_A = ~restricts(3, "geo") | geo_ok_GA[1:].all(axis=0)
    return Targeting(
        age_mask_A=np.where(restricts(0, "age"), age_A, (1 << _AGE_BITS) - 1),
        gender_mask_A=np.where(restricts(1, "gender"), gender_A, (1 << _GENDER_BITS) - 1),
        device_mask_A=np.where(restricts(2, "device"), device_A, (1 << _DEVICE_BITS) - 1),
        geo_ok_GA=geo_ok_GA | is_everywhere_A,
        is_everywhere_A=is_everywhere_A,
        freq_cap_A=1 + np.floor(3 * keyed_uniform(seed, "freq_cap", row_A)).astype(np.int64),
    )


def targeted(
    targeting: Targeting, age_B: Ints, gender_B: Ints, device_B: Ints, city_B: Ints, ad_K: Ints
) -> Bools:
    """Say whose requests each ad wants, all restrictions joined.

    Args:
        targeting: Masks of all ads.
        age_B: [B] int64 age buckets.
        gender_B: [B] int64.
        device_B: [B] int64 device tiers.
        city_B: [B] int64 cities, 0 unknown.
        ad_K: [K] int64, rows of the ads to look at.

    Returns:
        [B, K] bool.
    """
    admits_BK = _has_bit(targeting.age_mask_A[ad_K], _AGE_BITS)[age_B]
    admits_BK &= _has_bit(targeting.gender_mask_A[ad_K], _GENDER_BITS)[gender_B]
    admits_BK &= _has_bit(targeting.device_mask_A[ad_K], _DEVICE_BITS)[device_B]
    admits_BK &= targeting.geo_ok_GA[:, ad_K][city_B]
    return np.asarray(admits_BK)


def _has_bit(mask_K: Ints, num_bits: int) -> Bools:
    """Unpack masks: row b says which ads have bit b."""
    return np.asarray((mask_K >> np.arange(num_bits)[:, None]) & 1 == 1)


def _revised(seed: int, before: Market, status_A: Ints, revises_A: Bools, day: int) -> Market:
    """Change bids and budgets of the revised ads, and the status of all."""
    row_A = np.arange(len(status_A))
    bid_step_A = np.exp(0.15 * keyed_normal(seed, "bid_step", row_A, day))
    budget_step_A = np.exp(0.2 * keyed_normal(seed, "budget_step", row_A, day))

    def scaled(values: Ints, step: Floats) -> Ints:
        new = np.maximum(values * step, 1.0).astype(np.int64)
        return np.where(revises_A, new, values)

    daily_A = scaled(before.daily_budget_A, budget_step_A)
    return before._replace(
        bid_micros_A=scaled(before.bid_micros_A, bid_step_A),
        daily_budget_A=daily_A,
        total_budget_A=np.maximum(scaled(before.total_budget_A, budget_step_A), daily_A),
        status_A=status_A,
    )


def _window_mask(seed: int, row_A: Ints) -> Ints:
    """Draw two to four neighboring age buckets, with or without "unknown"."""
    low_A = 1 + np.floor(5 * keyed_uniform(seed, "target_age_low", row_A)).astype(np.int64)
    width_A = 2 + np.floor(3 * keyed_uniform(seed, "target_age_width", row_A)).astype(np.int64)
    bits_A = ((1 << width_A) - 1) << low_A
    unknown_A = keyed_uniform(seed, "target_age_unknown", row_A) < 0.5
    return (bits_A & ((1 << _AGE_BITS) - 1)) | unknown_A
