from dataclasses import replace

import numpy as np
import pytest

from gpr_core.data.tables import DAY_MS, OrganicAction
from gpr_core.world.config import WorldConfig
from gpr_core.world.sessions import draw_events, draw_organic, draw_requests, poisson
from gpr_core.world.taxonomy import build_content
from gpr_core.world.users import (
    brand_affinity,
    build_population,
    category_affinity,
    first_threads,
)

CONFIG = replace(WorldConfig(), num_users=2000)
DAY = 20_454


@pytest.fixture(scope="module")
def population():
    return build_population(CONFIG)


@pytest.fixture(scope="module")
def threads(population):
    return first_threads(CONFIG, population, DAY)


@pytest.fixture(scope="module")
def events(population, threads):
    return draw_events(CONFIG, population, threads, DAY)


@pytest.fixture(scope="module")
def requests(population, events):
    return draw_requests(CONFIG, events, population.device_U, DAY)


@pytest.fixture(scope="module")
def content():
    return build_content(CONFIG, 2500)


@pytest.fixture(scope="module")
def affinity(threads):
    return category_affinity(CONFIG, threads), brand_affinity(CONFIG, threads)


@pytest.fixture(scope="module")
def organic(events, content, affinity):
    return draw_organic(CONFIG, events, content, 2400, affinity, DAY)


def test_poisson_inverts_the_distribution_function():
    # P(0) = 0.1353, P(<= 1) = 0.4060, P(<= 2) = 0.6767 at mean 2.
    draws = np.array([0.13, 0.14, 0.40, 0.41, 0.67, 0.68])
    assert poisson(np.full(6, 2.0), draws).tolist() == [0, 1, 1, 2, 2, 3]


def test_poisson_of_zero_is_zero():
    assert poisson(np.zeros(2), np.array([0.01, 0.99])).tolist() == [0, 0]


def test_everything_happens_inside_the_day(events, requests, organic):
    for ts in (events.ts_E, requests.ts_B, organic.ts_E):
        assert ts.min() >= DAY * DAY_MS
        assert ts.max() < (DAY + 1) * DAY_MS - 60_000


def test_volumes_match_the_configuration(requests, organic):
    assert 1.35 < len(requests.key_B) / CONFIG.num_users < 1.65
    assert 3.6 < len(organic.key_E) / CONFIG.num_users < 4.4


def test_keys_are_unique(requests, organic):
    assert len(np.unique(requests.key_B)) == len(requests.key_B)
    assert len(np.unique(organic.key_E)) == len(organic.key_E)


def test_a_session_begins_with_reading(events):
    assert not events.is_request_E[events.number_E == 0].any()


def test_a_session_follows_a_thread_of_its_user(events, threads):
    wanted = threads.category_US[events.user_E] == events.category_E[:, None]
    assert wanted.any(axis=1).all()


def test_requests_are_in_time_order_and_positions_count_within_the_session(requests):
    assert (np.diff(requests.ts_B) >= 0).all()
    assert requests.position_B.min() == 0
    assert requests.position_B.max() <= 7
    assert (requests.position_B == 0).mean() > 0.4


def test_requests_carry_the_device_of_the_day(requests, population):
    np.testing.assert_array_equal(requests.device_B, population.device_U[requests.user_B])


def test_only_visible_items_are_read(organic):
    assert organic.item_E.max() < 2400


def test_most_reading_is_about_own_threads(organic, content, affinity):
    own = affinity[0][organic.user_E, content.category_A[organic.item_E]] > 0
    assert 0.8 < own.mean() < 0.95


def test_liked_brands_are_read_more_and_skipped_less(organic, content, affinity):
    brand = affinity[1][organic.user_E, content.brand_A[organic.item_E]]
    assert (brand > 0).sum() > 2 * (brand < 0).sum()
    skips = organic.action_E == OrganicAction.SKIP
    assert skips[brand < 0].mean() > skips[brand > 0].mean() + 0.1


def test_few_events_land_late(organic):
    lag = organic.ingest_ts_E - organic.ts_E
    assert lag.min() >= 0
    assert 0.003 < (lag > 3_600_000 / 2).mean() < 0.02
    assert ((organic.completion_E >= 0) & (organic.completion_E <= 1)).all()
    assert organic.dwell_ms_E.min() >= 0


def test_another_day_is_another_day(population, threads, requests):
    events = draw_events(CONFIG, population, threads, DAY + 1)
    other = draw_requests(CONFIG, events, population.device_U, DAY + 1)
    assert not np.isin(other.key_B, requests.key_B).any()


def test_a_category_without_content_falls_back_to_popular_items(events, content, affinity):
    first = draw_organic(CONFIG, events, content, 3, affinity, DAY)
    assert set(first.item_E.tolist()) <= {0, 1, 2}
