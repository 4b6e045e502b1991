from dataclasses import replace

import numpy as np
import pytest

from gpr_core.world.config import WorldConfig
from gpr_core.world.users import (
    Threads,
    brand_affinity,
    build_population,
    category_affinity,
    changed_profiles,
    first_threads,
    live_slots,
    next_threads,
)

CONFIG = WorldConfig()
DAY = 20_454


@pytest.fixture(scope="module")
def population():
    return build_population(CONFIG)


@pytest.fixture(scope="module")
def threads(population):
    return first_threads(CONFIG, population, DAY)


def test_no_demographic_cell_is_small(population):
    cells = population.cells
    names = list(zip(cells.age_bucket, cells.gender, cells.geo_l2, strict=True))
    assert min(names.count(name) for name in set(names)) >= CONFIG.min_cell_users


def test_activity_has_mean_one(population):
    assert 0.85 < population.rate_U.mean() < 1.15


def test_everybody_registered_before_the_first_day(population):
    assert (population.reg_ts_U < DAY * 86_400_000).all()


def test_people_have_one_to_four_different_interests(threads):
    counts = (threads.category_US >= 0).sum(axis=1)
    assert set(counts.tolist()) == {1, 2, 3, 4}
    for row in threads.category_US[:50]:
        kept = row[row >= 0]
        assert len(set(kept.tolist())) == len(kept)


def test_weights_are_shares_of_the_existing_threads(threads):
    np.testing.assert_allclose(threads.weight_US.sum(axis=1), 1.0)
    assert (threads.weight_US[threads.category_US < 0] == 0).all()


def test_live_slots_leave_out_empty_and_marginal_threads():
    threads = Threads(
        category_US=np.array([[3, 5, -1, -1]]),
        weight_US=np.array([[0.95, 0.05, 0.0, 0.0]]),
        strength_US=np.ones((1, 4)),
        born_US=np.zeros((1, 4), dtype=np.int64),
    )
    assert live_slots(threads).tolist() == [[True, False, False, False]]


def test_interests_drift_but_stay_near_one(population, threads):
    later = threads
    for day in range(DAY + 1, DAY + 60):
        later = next_threads(CONFIG, population, later, day)
    assert 0.9 < later.strength_US.mean() < 1.1
    # Stationary deviation of the drift: 0.08 / sqrt(1 - 0.95^2) = 0.256.
    assert 0.2 < later.strength_US.std() < 0.3


def test_threads_jump_at_the_known_rate(population, threads):
    later = next_threads(replace(CONFIG, jump_rate=0.2), population, threads, DAY + 1)
    had = threads.category_US >= 0
    moved = (later.born_US == DAY + 1) & had
    assert 0.17 < moved.sum() / had.sum() < 0.23
    assert (later.category_US[moved] != threads.category_US[moved]).all()
    assert ((later.category_US >= 0) == had).all()


def test_without_jumps_categories_stay(population, threads):
    later = next_threads(replace(CONFIG, jump_rate=0.0), population, threads, DAY + 1)
    np.testing.assert_array_equal(later.category_US, threads.category_US)
    np.testing.assert_array_equal(later.weight_US, threads.weight_US)


def test_affinity_is_zero_outside_the_threads(threads):
    affinity = category_affinity(CONFIG, threads)
    brands = brand_affinity(CONFIG, threads)
    user = 0
    wanted = set(threads.category_US[user][threads.category_US[user] >= 0].tolist())
    assert set(np.flatnonzero(affinity[user]).tolist()) == wanted
    touched = set((np.flatnonzero(brands[user]) // CONFIG.brands_per_category).tolist())
    assert touched <= wanted


def test_some_brands_are_liked_and_some_disliked(threads):
    brands = brand_affinity(CONFIG, threads)
    felt = brands[brands != 0]
    assert 0.4 < (felt > 0).mean() < 0.6
    assert (np.abs(felt) >= 0.6).all()
    assert (np.abs(felt) <= 1.0).all()


def test_a_reborn_thread_has_other_brand_preferences(threads):
    again = replace(threads, born_US=threads.born_US + 1)
    assert (brand_affinity(CONFIG, threads) != brand_affinity(CONFIG, again)).any()


def test_few_profiles_change_over_night(population):
    device, consent = changed_profiles(CONFIG, population.device_U, population.consent_U, DAY)
    assert 0 < (device != population.device_U).sum() < 15
    assert (consent != population.consent_U).sum() < 10
    assert set(device.tolist()) <= {1, 2, 3, 4}
