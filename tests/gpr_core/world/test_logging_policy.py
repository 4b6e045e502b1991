from dataclasses import replace

import numpy as np
import pytest

from gpr_core.world import logging_policy
from gpr_core.world.day import live_day
from gpr_core.world.economics import next_market_day, num_ads_by, targeted

DAY = 20_454


def market_of(world, beginning):
    return next_market_day(
        world.config,
        world.first_market,
        beginning.state.market,
        DAY,
        num_ads_by(world.config, 1),
    )


@pytest.fixture(scope="module")
def market(world, beginning):
    return market_of(world, beginning)


@pytest.fixture(scope="module")
def log(world, beginning, market):
    return live_day(world, beginning.state, market, beginning.offsets, DAY, 200)


def replay(log, market):
    """Walk the day by hand: what each ad had spent and each user had seen before each row."""
    spent = np.zeros(len(market.is_new_A), dtype=np.int64)
    seen = {}
    rows = zip(log.served.row_M, log.served.ad_M, log.served.price_M, strict=True)
    for row, ad, price in rows:
        user = int(log.requests.user_B[row])
        yield int(spent[ad]), seen.get((user, int(ad)), 0)
        spent[ad] += price
        seen[user, int(ad)] = seen.get((user, int(ad)), 0) + 1


def limit_of(market, ad, hour):
    side = market.after if market.change_hour_A[ad] <= hour else market.before
    return int(side.daily_budget_A[ad])


def test_every_impression_is_in_budget_and_under_its_cap(world, log, market):
    hours = (log.requests.ts_B[log.served.row_M] - DAY * 86_400_000) // 3_600_000
    caps = world.targeting.freq_cap_A
    walk = zip(log.served.ad_M, hours, replay(log, market), strict=True)
    for ad, hour, (spent, seen) in walk:
        assert spent < limit_of(market, ad, hour)
        assert seen < caps[ad]


def test_the_ledger_adds_up(log, market):
    before = [spent for spent, _ in replay(log, market)]
    np.testing.assert_array_equal(before + log.served.price_M, log.served.spent_day_M)
    np.testing.assert_array_equal(log.served.spent_day_M, log.served.spent_total_M)


def test_every_impression_fits_its_user(world, log):
    served, requests = log.served, log.requests
    user = requests.user_B[served.row_M]
    cells = world.population.cells
    fits = [
        targeted(
            world.targeting,
            cells.age_bucket[[u]],
            cells.gender[[u]],
            requests.device_B[[row]],
            cells.geo_l2[[u]],
            np.array([ad]),
        )[0, 0]
        for u, row, ad in zip(user, served.row_M, served.ad_M, strict=True)
    ]
    assert all(fits)


def test_exploration_has_its_share_and_balances_the_propensities(log):
    served = log.served
    weight = 1 / (served.num_eligible_M * served.propensity_M)
    assert 0.7 < weight.mean() < 1.3
    assert ((served.propensity_M > 0) & (served.propensity_M <= 1)).all()


def test_logged_ecpm_follows_from_the_logged_predictions(log):
    served = log.served
    p_ctr, p_cvr = (
        part.astype(np.float64) for part in (served.predicted.p_ctr, served.predicted.p_cvr)
    )
    bid = served.bid_M / 1e6
    expected = np.choose(served.bid_type_M, [bid, 1000 * p_ctr * bid, 1000 * p_ctr * p_cvr * bid])
    np.testing.assert_allclose(served.ecpm_M, expected, rtol=1e-12)


def test_nobody_pays_more_than_their_own_ecpm(log):
    assert (log.served.price_M <= np.maximum(np.round(log.served.ecpm_M * 1000), 1)).all()


def test_without_running_ads_nothing_is_shown(world, beginning, market):
    nothing = np.full(len(market.is_new_A), 2)
    stopped = market._replace(
        before=market.before._replace(status_A=nothing),
        after=market.after._replace(status_A=nothing),
    )
    log = live_day(world, beginning.state, stopped, beginning.offsets, DAY, 200)
    assert len(log.served.row_M) == 0
    assert len(log.requests.key_B) > 0
    assert len(log.ad_events.key_Q) == 0


def test_full_exploration_is_uniform(world, beginning, market):
    curious = replace(world, config=replace(world.config, exploration_rate=1.0))
    log = live_day(curious, beginning.state, market, beginning.offsets, DAY, 200)
    np.testing.assert_allclose(log.served.propensity_M * log.served.num_eligible_M, 1.0)


def test_ads_appear_only_after_their_launch(world, beginning, market):
    late = market._replace(launch_hour_A=np.where(market.is_new_A, 12, 0))
    log = live_day(world, beginning.state, late, beginning.offsets, DAY, 200)
    hours = (log.requests.ts_B[log.served.row_M] - DAY * 86_400_000) // 3_600_000
    assert (hours[market.is_new_A[log.served.ad_M]] >= 12).all()


def test_the_number_of_requests_ranked_together_changes_nothing(
    world, beginning, market, log, monkeypatch
):
    monkeypatch.setattr(logging_policy, "_MAX_ROWS", 3)
    again = live_day(world, beginning.state, market, beginning.offsets, DAY, 200)
    np.testing.assert_array_equal(again.served.ad_M, log.served.ad_M)
    np.testing.assert_array_equal(again.served.ecpm_M, log.served.ecpm_M)
