from dataclasses import replace

import numpy as np
import pytest

from gpr_core.data.tables import DAY_MS, HOUR_MS, AdStatus, BidType
from gpr_core.world.config import WorldConfig
from gpr_core.world.economics import (
    NEVER_HOUR,
    Targeting,
    bid_types,
    build_targeting,
    first_market,
    launch_ts,
    next_market_day,
    num_ads_by,
    num_content_by,
    targeted,
)
from gpr_core.world.taxonomy import build_ads
from gpr_core.world.users import build_population

CONFIG = WorldConfig()
DAY = 20_454


@pytest.fixture(scope="module")
def ads():
    return build_ads(CONFIG, 3000)


@pytest.fixture(scope="module")
def population():
    return build_population(CONFIG)


@pytest.fixture(scope="module")
def market(ads, population):
    return first_market(CONFIG, ads, population)


def head(market, size):
    return type(market)(*(values[:size] for values in market))


def test_launches_are_two_percent_a_day():
    assert [num_ads_by(CONFIG, days) for days in (0, 1, 60)] == [1500, 1530, 3300]
    assert [num_content_by(CONFIG, days) for days in (0, 10)] == [2500, 2620]


def test_ads_launch_before_the_world_or_on_their_day():
    ts = launch_ts(CONFIG, 1560)
    assert (ts % HOUR_MS == 0).all()
    assert (ts[:1500] < DAY * DAY_MS).all()
    assert (ts[:1500] > (DAY - 61) * DAY_MS).all()
    assert (ts[1500:1530] // DAY_MS == DAY).all()
    assert (ts[1530:] // DAY_MS == DAY + 1).all()


def test_bid_types_have_their_shares():
    share = np.bincount(bid_types(CONFIG, 20_000)) / 20_000
    np.testing.assert_allclose(share, [0.2, 0.3, 0.5], atol=0.015)


def test_bid_types_promise_about_equal_ecpm(ads, market):
    unit = {
        BidType.CPM: 1.0,
        BidType.CPC: 1000 * CONFIG.base_ctr,
        BidType.OCPA: 1000 * CONFIG.base_ctr * CONFIG.base_cvr,
    }
    kind = bid_types(CONFIG, 3000)
    for value, factor in unit.items():
        bids = market.bid_micros_A[(kind == value) & ~ads.is_gem_A] / 1e6 * factor
        assert 17 < np.median(bids) < 23


def test_gems_bid_high(ads, market):
    kind = bid_types(CONFIG, 3000)
    cpm = market.bid_micros_A[kind == BidType.CPM]
    is_gem = ads.is_gem_A[kind == BidType.CPM]
    assert np.median(cpm[is_gem]) > 2 * np.median(cpm[~is_gem])


def test_bids_and_liking_disagree(ads, population):
    wanted = replace(CONFIG, bid_affinity_correlation=-0.8)
    bids = np.log(first_market(wanted, ads, population).bid_micros_A)
    liked = np.exp(population.group_UC).mean(axis=0)[ads.category_A]
    kind = bid_types(CONFIG, 3000)
    plain = (kind == BidType.CPM) & ~ads.is_gem_A
    assert np.corrcoef(bids[plain], liked[plain])[0, 1] < -0.6


def test_total_budgets_cover_many_days(market):
    assert (market.daily_budget_A > 0).all()
    assert (market.total_budget_A >= 30 * market.daily_budget_A - 1).all()


def test_a_day_launches_its_ads_and_ends_about_as_many(market):
    day = next_market_day(CONFIG, market, head(market, 1500), DAY, 1530)
    assert day.is_new_A.tolist() == [False] * 1500 + [True] * 30
    assert (day.launch_hour_A[:1500] == 0).all()
    assert ((day.launch_hour_A[1500:] >= 0) & (day.launch_hour_A[1500:] < 12)).all()
    ended = (day.after.status_A == AdStatus.ENDED).sum()
    assert 15 <= ended <= 50


def test_new_ads_do_not_change_on_their_first_day(market):
    day = next_market_day(CONFIG, market, head(market, 1500), DAY, 1530)
    assert (day.change_hour_A[1500:] == NEVER_HOUR).all()


def test_only_changed_ads_differ(market):
    day = next_market_day(CONFIG, market, head(market, 1500), DAY, 1530)
    still = day.change_hour_A == NEVER_HOUR
    for before, after in zip(day.before, day.after, strict=True):
        np.testing.assert_array_equal(before[still], after[still])
    assert ((day.change_hour_A[~still] >= 0) & (day.change_hour_A[~still] < 24)).all()


def test_ended_ads_stay_ended_and_paused_ones_may_come_back(market):
    ended = np.full(1500, int(AdStatus.ENDED))
    day = next_market_day(CONFIG, market, head(market, 1500)._replace(status_A=ended), DAY, 1500)
    assert (day.after.status_A == AdStatus.ENDED).all()
    assert (day.change_hour_A == NEVER_HOUR).all()
    paused = np.full(1500, int(AdStatus.PAUSED))
    day = next_market_day(CONFIG, market, head(market, 1500)._replace(status_A=paused), DAY, 1500)
    assert 0.4 < (day.after.status_A == AdStatus.ACTIVE).mean() < 0.6


def test_the_catalog_keeps_its_size(market):
    current = head(market, 1500)
    for offset in range(1, 51):
        size = num_ads_by(CONFIG, offset)
        current = next_market_day(CONFIG, market, current, DAY + offset, size).after
    running = (current.status_A == AdStatus.ACTIVE).sum()
    assert 1350 < running < 1650


def test_sixty_percent_restrict_something_and_many_restrict_two_things(ads):
    targeting = build_targeting(CONFIG, ads)
    restricted = np.stack(
        [
            targeting.age_mask_A != 0b1111111,
            targeting.gender_mask_A != 0b111,
            targeting.device_mask_A != 0b11111,
            ~targeting.is_everywhere_A,
        ]
    ).sum(axis=0)
    assert 0.5 < (restricted > 0).mean() < 0.65
    assert (restricted > 1).mean() > 0.3
    assert min(targeting.age_mask_A.min(), targeting.gender_mask_A.min()) > 0
    assert targeting.geo_ok_GA[1:].any(axis=0).all()
    assert set(targeting.freq_cap_A.tolist()) == {1, 2, 3}


def test_all_restrictions_must_hold_at_once():
    targeting = Targeting(
        age_mask_A=np.array([0b0000110, 0b1111111]),
        gender_mask_A=np.array([0b010, 0b111]),
        device_mask_A=np.array([0b11111, 0b00100]),
        geo_ok_GA=np.array([[False, True], [True, True], [False, True]]),
        is_everywhere_A=np.array([False, True]),
        freq_cap_A=np.array([1, 1]),
    )
    admitted = targeted(
        targeting,
        np.array([1, 1, 1, 3, 1]),
        np.array([1, 2, 1, 1, 1]),
        np.array([2, 2, 3, 2, 2]),
        np.array([1, 1, 1, 1, 2]),
        np.array([0, 1]),
    )
    assert admitted.tolist() == [
        [True, True],
        [False, True],
        [True, False],
        [False, True],
        [False, True],
    ]
