"""People: demographics, activity, and interest threads that drift and jump.

U = users, S = thread slots of a user (at most four), C = categories, X = brands, D = latent width.

A thread is an interest in one category with signed preferences for its brands, so that "right
category, wrong brand" exists. Brand preferences are keyed by the day the thread was born: a reborn
thread has new ones.

Source: specification 6.2.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gpr_core.data.days import day_start_ms, parse_day
from gpr_core.data.keyed_sampling import keyed_normal, keyed_uniform
from gpr_core.data.privacy import Cells, merge_small_cells
from gpr_core.data.tables import DAY_MS
from gpr_core.world.config import WorldConfig
from gpr_core.world.taxonomy import (
    LATENT_WIDTH,
    Floats,
    Ints,
    Keys,
    category_popularity,
    positive_keys,
)

NUM_SLOTS = 4
LIVE_WEIGHT = 0.1

_AGE_EDGES = np.cumsum([0.08, 0.22, 0.28, 0.2, 0.14])
_SLOT_EDGES = np.cumsum([0.2, 0.35, 0.3])
_OU_MEMORY = 0.95
_MAX_STRENGTH = 2.0
_REGISTERED_DAYS = 400
_DEVICE_CHANGE, _CONSENT_CHANGE = 0.004, 0.001


@dataclass(frozen=True, slots=True)
class Population:
    """What never changes about people.

    Attributes:
        key_U: [U] uint64, user keys.
        cells: Demographics, merged so that no cell is too small.
        group_UC: [U, C] float64, log weight of each category for this age and gender.
        taste_UD: [U, D] float64, taste for products.
        rate_U: [U] float64, activity relative to the mean person.
        price_sense_U: [U] float64, how much a high price puts off, >= 0.
        reg_ts_U: [U] int64, epoch ms.
        device_U: [U] int64, first device tier, 1..4.
        consent_U: [U] int64, first consent, 0 or 1.
    """

    key_U: Keys
    cells: Cells
    group_UC: Floats
    taste_UD: Floats
    rate_U: Floats
    price_sense_U: Floats
    reg_ts_U: Ints
    device_U: Ints
    consent_U: Ints


@dataclass(frozen=True, slots=True)
class Threads:
    """Interest threads on one day.

    Attributes:
        category_US: [U, S] int64, -1 where the slot is empty.
        weight_US: [U, S] float64, share of sessions, summing to 1 over a user's threads.
        strength_US: [U, S] float64, in [0, 2], mean 1.
        born_US: [U, S] int64, ordinal of the day the thread was born.
    """

    category_US: Ints
    weight_US: Floats
    strength_US: Floats
    born_US: Ints


def build_population(config: WorldConfig) -> Population:
    """Draw the people.

    Args:
        config: The world.

    Returns:
        Their permanent attributes.
    """
    seed, row_U = config.seed, np.arange(config.num_users)
    age_U = 1 + np.searchsorted(_AGE_EDGES, keyed_uniform(seed, "age", row_U))
    gender_U = 1 + (keyed_uniform(seed, "gender", row_U) < 0.48).astype(np.int64)
    city_U = _draw_cities(config, row_U)
    cells = merge_small_cells(
        age_U, gender_U, 1 + city_U % 4, city_U, min_users=config.min_cell_users
    )
    first = day_start_ms(parse_day(config.first_day))
    age_days_U = 1 + np.floor(_REGISTERED_DAYS * keyed_uniform(seed, "registered", row_U))
    spread = config.activity_sigma
    return Population(
        key_U=positive_keys(seed, "user", row_U),
        cells=cells,
        group_UC=_group_tilt(config, age_U, gender_U),
        taste_UD=keyed_normal(seed, "taste", row_U[:, None], np.arange(LATENT_WIDTH)),
        rate_U=np.exp(spread * keyed_normal(seed, "activity", row_U) - spread**2 / 2),
        price_sense_U=0.4 * np.exp(0.6 * keyed_normal(seed, "price_sense", row_U)),
        reg_ts_U=first - age_days_U.astype(np.int64) * DAY_MS,
        device_U=1 + np.searchsorted([0.3, 0.7, 0.92], keyed_uniform(seed, "device", row_U)),
        consent_U=(keyed_uniform(seed, "consent", row_U) < 0.9).astype(np.int64),
    )


def first_threads(config: WorldConfig, population: Population, day: int) -> Threads:
    """Draw the threads of the day the world begins.

    Args:
        config: The world.
        population: The people.
        day: Day ordinal.

    Returns:
        One to four threads for each user.
    """
    seed, num_users = config.seed, config.num_users
    row_U, slot_S = np.arange(num_users), np.arange(NUM_SLOTS)
    num_U = 1 + np.searchsorted(_SLOT_EDGES, keyed_uniform(seed, "num_threads", row_U))
    gumbel_UC = _category_gumbel(config, population, "first_category", day, 0)
    category_US = np.full((num_users, NUM_SLOTS), -1, dtype=np.int64)
    best = np.argsort(-gumbel_UC, axis=1, kind="stable")[:, :NUM_SLOTS]
    category_US[:, : best.shape[1]] = best
    category_US[slot_S >= num_U[:, None]] = -1
    born_US = np.full((num_users, NUM_SLOTS), day, dtype=np.int64)
    noise_US = keyed_normal(seed, "first_strength", row_U[:, None], slot_S)
    strength_US = np.clip(1.0 + 0.25 * noise_US, 0.0, _MAX_STRENGTH)
    return Threads(category_US, _weights(config, category_US, born_US), strength_US, born_US)


def next_threads(
    config: WorldConfig, population: Population, threads: Threads, day: int
) -> Threads:
    """Let one night pass: strengths drift, some threads die and others are born.

    Args:
        config: The world.
        population: The people.
        threads: Threads of the day before.
        day: Ordinal of the new day.

    Returns:
        Threads of the new day.
    """
    seed, row_U1 = config.seed, np.arange(config.num_users)[:, None]
    slot_S = np.arange(NUM_SLOTS)
    step_US = config.drift_sigma * keyed_normal(seed, "drift", row_U1, slot_S, day)
    strength_US = 1.0 + _OU_MEMORY * (threads.strength_US - 1.0) + step_US
    strength_US = np.clip(strength_US, 0.0, _MAX_STRENGTH)
    jumps_US = keyed_uniform(seed, "jump", row_U1, slot_S, day) < config.jump_rate
    jumps_US &= threads.category_US >= 0
    category_US, born_US = threads.category_US.copy(), threads.born_US.copy()
    for slot in range(NUM_SLOTS):
        gumbel_UC = _category_gumbel(config, population, "next_category", day, slot)
        for other in range(NUM_SLOTS):
            has_U = category_US[:, other] >= 0
            gumbel_UC[has_U, category_US[has_U, other]] = -np.inf
        jumps_U = jumps_US[:, slot] & np.isfinite(gumbel_UC.max(axis=1))
        category_US[jumps_U, slot] = np.argmax(gumbel_UC, axis=1)[jumps_U]
        born_US[jumps_U, slot] = day
        strength_US[jumps_U, slot] = 1.0
    return Threads(category_US, _weights(config, category_US, born_US), strength_US, born_US)


def live_slots(threads: Threads) -> npt.NDArray[np.bool_]:
    """Say which threads get a fair share of the sessions.

    Args:
        threads: Threads of the day.

    Returns:
        [U, S] bool.
    """
    return np.asarray((threads.category_US >= 0) & (threads.weight_US >= LIVE_WEIGHT))


def category_affinity(config: WorldConfig, threads: Threads) -> Floats:
    """Say how much each user likes each category.

    Args:
        config: The world.
        threads: Threads of the day.

    Returns:
        [U, C] float64, 0 outside the user's threads.
    """
    row, slot = np.nonzero(threads.category_US >= 0)
    affinity_UC = np.zeros((config.num_users, config.num_categories))
    share = 0.6 + 0.6 * threads.weight_US[row, slot]
    affinity_UC[row, threads.category_US[row, slot]] = threads.strength_US[row, slot] * share
    return affinity_UC


def brand_affinity(config: WorldConfig, threads: Threads) -> Floats:
    """Say how much each user likes or dislikes each brand.

    Args:
        config: The world.
        threads: Threads of the day.

    Returns:
        [U, X] float64 in [-1, 1], 0 outside the categories of the user's threads.
    """
    within = np.arange(config.brands_per_category)
    row, slot = np.nonzero(threads.category_US >= 0)
    draw = keyed_uniform(
        config.seed,
        "brand_sign",
        row[:, None],
        slot[:, None],
        threads.born_US[row, slot, None],
        within,
    )
    size = 0.6 + 0.4 * keyed_uniform(
        config.seed, "brand_size", row[:, None], threads.born_US[row, slot, None], within
    )
    sign = (draw < 0.3).astype(np.float64) - (draw > 0.7)
    affinity_UX = np.zeros((config.num_users, config.num_categories * config.brands_per_category))
    columns = threads.category_US[row, slot, None] * config.brands_per_category + within
    affinity_UX[row[:, None], columns] = sign * size
    return affinity_UX


def changed_profiles(
    config: WorldConfig, device_U: Ints, consent_U: Ints, day: int
) -> tuple[Ints, Ints]:
    """Let some people change their device or their consent over night.

    Args:
        config: The world.
        device_U: [U] int64, device tiers of the day before.
        consent_U: [U] int64, consents of the day before.
        day: Ordinal of the new day.

    Returns:
        Device tiers and consents of the new day, [U] int64 each.
    """
    seed, row_U = config.seed, np.arange(config.num_users)
    new_U = 1 + np.floor(4 * keyed_uniform(seed, "new_device", row_U, day)).astype(np.int64)
    swaps_U = keyed_uniform(seed, "device_change", row_U, day) < _DEVICE_CHANGE
    flips_U = keyed_uniform(seed, "consent_change", row_U, day) < _CONSENT_CHANGE
    return np.where(swaps_U, new_U, device_U), np.where(flips_U, 1 - consent_U, consent_U)


def _draw_cities(config: WorldConfig, row_U: Ints) -> Ints:
    """Draw cities 1..num_cities, the first ones larger."""
    share = (1.0 + np.arange(config.num_cities)) ** -0.5
    edges = np.cumsum(share / share.sum())[:-1]
    return 1 + np.searchsorted(edges, keyed_uniform(config.seed, "city", row_U))


def _group_tilt(config: WorldConfig, age_U: Ints, gender_U: Ints) -> Floats:
    """Make categories more or less likely by age and gender."""
    category_C = np.arange(config.num_categories)
    age = keyed_normal(config.seed, "age_tilt", age_U[:, None], category_C)
    gender = keyed_normal(config.seed, "gender_tilt", gender_U[:, None], category_C)
    return np.asarray(np.log(category_popularity(config)) + 0.7 * age + 0.7 * gender)


def _category_gumbel(
    config: WorldConfig, population: Population, purpose: str, day: int, slot: int
) -> Floats:
    """Draw perturbed category weights; the largest is a draw from the user's categories."""
    row_U1 = np.arange(config.num_users)[:, None]
    draw_UC = keyed_uniform(
        config.seed, purpose, row_U1, np.arange(config.num_categories), day, slot
    )
    return np.asarray(population.group_UC - np.log(-np.log(draw_UC)))


def _weights(config: WorldConfig, category_US: Ints, born_US: Ints) -> Floats:
    """Share sessions among threads: a flat Dirichlet draw, keyed by birth."""
    row_U1, slot_S = np.arange(config.num_users)[:, None], np.arange(NUM_SLOTS)
    draw_US = -np.log(keyed_uniform(config.seed, "weight", row_U1, slot_S, born_US))
    draw_US = np.where(category_US >= 0, draw_US, 0.0)
    return np.asarray(draw_US / draw_US.sum(axis=1, keepdims=True))
