import numpy as np
import pytest

from gpr_core.data.tables import DAY_MS, AdEventType, OrganicAction
from gpr_core.world.day import EXPOSURE_LATENCY_MS, earlier_impressions, end_day, landed, live_day
from gpr_core.world.economics import next_market_day, num_ads_by

DAY = 20_454


@pytest.fixture(scope="module")
def morning(beginning):
    return beginning.state


@pytest.fixture(scope="module")
def log(world, beginning):
    market = next_market_day(
        world.config,
        world.first_market,
        beginning.state.market,
        DAY,
        num_ads_by(world.config, 1),
    )
    return live_day(world, beginning.state, market, beginning.offsets, DAY, 200)


@pytest.fixture(scope="module")
def evening(world, morning, log):
    return end_day(world, morning, log, DAY)


def test_a_day_is_reproducible(world, beginning, log):
    again = live_day(world, beginning.state, log.market, beginning.offsets, DAY, 200)
    np.testing.assert_array_equal(again.served.ad_M, log.served.ad_M)
    np.testing.assert_array_equal(again.ad_events.key_Q, log.ad_events.key_Q)


def test_intent_counts_earlier_reading_half_after_a_day(world, morning, log):
    row = len(log.requests.key_B) // 2
    user, ts = log.requests.user_B[row], log.requests.ts_B[row]
    organic = log.organic
    counted = (organic.user_E == user) & (organic.ts_E < ts)
    counted &= organic.action_E != OrganicAction.SKIP
    expected = morning.recent_UC[user] * 0.5 ** ((ts - DAY * DAY_MS) / DAY_MS)
    for item, when in zip(organic.item_E[counted], organic.ts_E[counted], strict=True):
        expected[world.content.category_A[item]] += 0.5 ** ((ts - when) / DAY_MS)
    intent = np.log1p(expected) / np.log(6.0)
    np.testing.assert_allclose(log.known.intent_BC[row], intent, rtol=1e-5)


def test_the_evening_halves_what_was_read_a_day_ago(world, morning, log, evening):
    user = int(log.organic.user_E[0])
    mine = (log.organic.user_E == user) & (log.organic.action_E != OrganicAction.SKIP)
    expected = morning.recent_UC[user] * 0.5
    end = (DAY + 1) * DAY_MS
    for item, when in zip(log.organic.item_E[mine], log.organic.ts_E[mine], strict=True):
        expected[world.content.category_A[item]] += 0.5 ** ((end - when) / DAY_MS)
    np.testing.assert_allclose(evening.recent_UC[user], expected)


def test_repeated_impressions_are_counted_in_time_order(morning):
    user, ad = np.array([1, 2, 1, 1]), np.array([7, 7, 7, 8])
    assert earlier_impressions(morning, user, ad).tolist() == [0, 0, 1, 0]


def test_fatigue_carries_over_to_the_next_day(log, evening):
    user, ad = log.requests.user_B[log.served.row_M[:1]], log.served.ad_M[:1]
    again = earlier_impressions(evening, user, ad)
    assert (
        again[0]
        == log.known.shown_M[
            (log.served.ad_M == ad) & (log.requests.user_B[log.served.row_M] == user)
        ].max()
        + 1
    )


def test_events_follow_their_exposure(log):
    exposed = dict(
        zip(
            log.impression_key_M.tolist(),
            (log.requests.ts_B[log.served.row_M] + EXPOSURE_LATENCY_MS).tolist(),
            strict=True,
        )
    )
    events = log.ad_events
    starts = np.array([exposed[key] for key in events.impression_Q.tolist()])
    assert (events.ts_Q > starts).all()
    assert (events.ingest_ts_Q > events.ts_Q).all()


def test_a_conversion_has_a_click(log):
    events = log.ad_events
    clicked = set(events.impression_Q[events.type_Q == AdEventType.CLICK].tolist())
    bought = set(events.impression_Q[events.type_Q == AdEventType.CONVERSION].tolist())
    assert bought <= clicked
    assert (events.value_Q[events.type_Q != AdEventType.CONVERSION] == 0).all()


def test_what_has_not_landed_is_kept_for_later(morning, log, evening):
    organic, events = landed(morning, log, DAY)
    assert len(organic.key_E) + len(evening.pending_organic.key_E) == len(log.organic.key_E)
    assert len(events.key_Q) + len(evening.pending_ads.key_Q) == len(log.ad_events.key_Q)
    assert (organic.ingest_ts_E < (DAY + 1) * DAY_MS).all()
    assert (np.diff(organic.ingest_ts_E) >= 0).all()
    assert (evening.pending_organic.ingest_ts_E >= (DAY + 1) * DAY_MS).all()


def test_windows_count_requests_and_landed_reading(morning, log, evening):
    slot = DAY % 28
    assert evening.requests_WU[slot].sum() == len(log.requests.key_B)
    assert evening.organic_WUC[slot].sum() == len(landed(morning, log, DAY)[0].key_E)
    assert evening.requests_WU.sum() == len(log.requests.key_B)


def test_spending_reaches_the_market(log, evening):
    assert evening.market.spent_total_A.sum() == log.served.price_M.sum()
