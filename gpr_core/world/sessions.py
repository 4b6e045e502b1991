"""A day of sessions: when people come, what they read, and when they are shown an ad.

A session follows one thread; threads alternate between sessions, so that the next ad and the ad
after it often belong to different interests. U = users, N = sessions, E = events of sessions,
C = categories, X = brands.

Source: specification 6.2.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.data.keyed_sampling import keyed_normal, keyed_uniform
from gpr_core.data.tables import DAY_MS, HOUR_MS, OrganicAction
from gpr_core.world.columns import take
from gpr_core.world.config import WorldConfig
from gpr_core.world.taxonomy import ContentCatalog, Floats, Ints, Keys, positive_keys
from gpr_core.world.users import Population, Threads

_HOUR_WEIGHTS = np.array(
    [2, 1, 1, 1, 1, 2, 3, 5, 6, 6, 5, 5, 7, 6, 5, 5, 5, 6, 7, 8, 9, 9, 7, 4], dtype=np.float64
)
_REQUESTS_PER_SESSION = 2.0
_LAST_START_MS = DAY_MS - HOUR_MS
_MAX_SESSION_MS = HOUR_MS - 60_000
_ON_THREAD = 0.85
_MAX_COUNT = 60


class Organic(NamedTuple):
    """Organic events of a day, by user and time.

    Attributes:
        key_E: [E] uint64.
        user_E: [E] int64, row of the user.
        item_E: [E] int64, row of the content.
        ts_E: [E] int64 epoch ms.
        ingest_ts_E: [E] int64 epoch ms, some after the end of the day.
        action_E: [E] int64, `OrganicAction`.
        dwell_ms_E: [E] int64.
        completion_E: [E] float64 in [0, 1].
    """

    key_E: Keys
    user_E: Ints
    item_E: Ints
    ts_E: Ints
    ingest_ts_E: Ints
    action_E: Ints
    dwell_ms_E: Ints
    completion_E: Floats


class Requests(NamedTuple):
    """Ad requests of a day, by time.

    Attributes:
        key_B: [B] uint64.
        user_B: [B] int64, row of the user.
        ts_B: [B] int64 epoch ms.
        scene_B: [B] int64, 0..2.
        position_B: [B] int64, requests of the session so far.
        placement_B: [B] int64, 0..3.
        device_B: [B] int64, device tier.
        os_B: [B] int64, 0..1.
        net_B: [B] int64, 0..2.
        privacy_B: [B] int64, 1 strict.
    """

    key_B: Keys
    user_B: Ints
    ts_B: Ints
    scene_B: Ints
    position_B: Ints
    placement_B: Ints
    device_B: Ints
    os_B: Ints
    net_B: Ints
    privacy_B: Ints


class Events(NamedTuple):
    """Slots of sessions: each becomes an organic event or a request.

    Attributes:
        user_E: [E] int64.
        category_E: [E] int64, category of the session's thread.
        ts_E: [E] int64 epoch ms.
        number_E: [E] int64, position in the session.
        session_E: [E] int64, position of the session in the user's day.
        is_request_E: [E] bool.
    """

    user_E: Ints
    category_E: Ints
    ts_E: Ints
    number_E: Ints
    session_E: Ints
    is_request_E: npt.NDArray[np.bool_]


def draw_events(config: WorldConfig, population: Population, threads: Threads, day: int) -> Events:
    """Draw the sessions of a day and the slots in them.

    Args:
        config: The world.
        population: The people.
        threads: Threads of the day.
        day: Day ordinal (days since 1970-01-01).

    Returns:
        Slots sorted by (user, time).
    """
    seed = config.seed
    sessions_per_day = config.requests_per_user_day / _REQUESTS_PER_SESSION
    rate_U = population.rate_U * sessions_per_day
    row_U = np.arange(config.num_users)
    count_U = poisson(rate_U, keyed_uniform(seed, "sessions", row_U, day))
    user_N = np.repeat(row_U, count_U)
    session_N = np.arange(len(user_N)) - np.repeat(np.cumsum(count_U) - count_U, count_U)
    start_N = day * DAY_MS + _start_ms(seed, user_N, session_N, day)
    category_N = _pick_thread(config, threads, user_N, session_N, day)
    organic_mean = config.organic_per_user_day / sessions_per_day
    draw_o, draw_r = (
        keyed_uniform(seed, purpose, user_N, session_N, day)
        for purpose in ("session_organic", "session_requests")
    )
    organic_N = 1 + poisson(np.full(len(user_N), max(organic_mean - 1.0, 0.0)), draw_o)
    request_N = 1 + poisson(np.full(len(user_N), _REQUESTS_PER_SESSION - 1.0), draw_r)
    return _lay_out(seed, day, user_N, session_N, start_N, category_N, organic_N, request_N)


def draw_requests(config: WorldConfig, events: Events, device_U: Ints, day: int) -> Requests:
    """Turn request slots into ad requests.

    Args:
        config: The world.
        events: Slots of the day.
        device_U: [U] int64, device tiers of the day.
        day: Day ordinal.

    Returns:
        Requests sorted by time.
    """
    seed = config.seed
    [asked] = np.nonzero(events.is_request_E)
    # By session, so that positions count within one even where two sessions overlap.
    asked = asked[
        np.lexsort((events.number_E[asked], events.session_E[asked], events.user_E[asked]))
    ]
    user, session, number = (
        values[asked] for values in (events.user_E, events.session_E, events.number_E)
    )
    keys = (user, session, number, day)
    scene = np.searchsorted([0.5, 0.8], keyed_uniform(seed, "scene", user, session, day))
    first = np.r_[True, (np.diff(user) != 0) | (np.diff(session) != 0)] if len(user) else user > 0
    start = np.maximum.accumulate(np.where(first, np.arange(len(user)), 0))
    requests = Requests(
        key_B=positive_keys(seed, "request", *keys),
        user_B=user,
        ts_B=events.ts_E[asked],
        scene_B=scene,
        position_B=np.minimum(np.arange(len(user)) - start, 7),
        placement_B=np.floor(4 * keyed_uniform(seed, "placement", *keys)).astype(np.int64),
        device_B=device_U[user],
        os_B=(keyed_uniform(seed, "os", user) < 0.35).astype(np.int64),
        net_B=np.searchsorted([0.6, 0.9], keyed_uniform(seed, "net", user, session, day)),
        privacy_B=(keyed_uniform(seed, "privacy", user, session, day) < 0.04).astype(np.int64),
    )
    order = np.lexsort((requests.key_B, requests.ts_B))
    return take(requests, order)


def draw_organic(
    config: WorldConfig,
    events: Events,
    content: ContentCatalog,
    num_visible: int,
    affinity: tuple[Floats, Floats],
    day: int,
) -> Organic:
    """Turn the other slots into organic events.

    Args:
        config: The world.
        events: Slots of the day.
        content: Organic items.
        num_visible: Only the first items are published and indexed by this day.
        affinity: Category [U, C] and brand [U, X] affinities of the day.
        day: Day ordinal.

    Returns:
        Organic events sorted by (user, time).
    """
    seed, is_organic_E = config.seed, ~events.is_request_E
    user, session, number, category, ts = (
        values[is_organic_E]
        for values in (
            events.user_E,
            events.session_E,
            events.number_E,
            events.category_E,
            events.ts_E,
        )
    )
    keys = (user, session, number, day)
    strays = keyed_uniform(seed, "stray", *keys) > _ON_THREAD
    elsewhere = np.floor(config.num_categories * keyed_uniform(seed, "stray_category", *keys))
    category = np.where(strays, elsewhere.astype(np.int64), category)
    item = _pick_content(config, content, num_visible, (user, category, keys), affinity[1])
    like = affinity[0][user, content.category_A[item]] + affinity[1][user, content.brand_A[item]]
    score = 0.8 * like + keyed_normal(seed, "organic_action", *keys)
    action = np.searchsorted([-0.3, 0.8, 1.6, 2.5, 3.0], score)
    completion = 1.0 / (1.0 + np.exp(-score - 0.3 * keyed_normal(seed, "completion", *keys)))
    dwell_ms = 1000 * np.exp(1.5 + 0.8 * score + 0.4 * keyed_normal(seed, "dwell", *keys))
    late = keyed_uniform(seed, "organic_late", *keys) < 0.01
    lag_s = np.exp(1.0 + 0.7 * keyed_normal(seed, "organic_lag", *keys))
    lag_ms = np.where(late, 3_600_000 * lag_s, 1000 * lag_s).astype(np.int64)
    return Organic(
        key_E=positive_keys(seed, "organic", *keys),
        user_E=user,
        item_E=item,
        ts_E=ts,
        ingest_ts_E=ts + lag_ms,
        action_E=_ACTIONS[action],
        dwell_ms_E=np.minimum(dwell_ms, 600_000).astype(np.int64),
        completion_E=completion,
    )


_ACTIONS = np.array(
    [
        OrganicAction.SKIP,
        OrganicAction.VIEW,
        OrganicAction.COMPLETE,
        OrganicAction.LIKE,
        OrganicAction.SHARE,
        OrganicAction.FOLLOW,
    ],
    dtype=np.int64,
)


def poisson(mean: Floats, uniform: Floats) -> Ints:
    """Draw Poisson counts from uniforms by inversion.

    Args:
        mean: [M] float64, >= 0.
        uniform: [M] float64 in (0, 1).

    Returns:
        [M] int64, at most 60.

    Example:
        >>> poisson(np.array([1.0, 1.0]), np.array([0.3, 0.9])).tolist()
        [0, 2]
    """
    term, total = np.exp(-mean), np.exp(-mean)
    count = np.zeros(len(mean), dtype=np.int64)
    for k in range(1, _MAX_COUNT + 1):
        count += uniform > total
        term = term * mean / k
        total = total + term
    return count


def _start_ms(seed: int, user_N: Ints, session_N: Ints, day: int) -> Ints:
    """Draw session starts within the day, by hour of the day."""
    share = np.r_[0.0, np.cumsum(_HOUR_WEIGHTS)] / _HOUR_WEIGHTS.sum()
    draw = keyed_uniform(seed, "start", user_N, session_N, day)
    hours = np.interp(draw, share, np.arange(25.0))
    return np.asarray(np.minimum((hours * HOUR_MS).astype(np.int64), _LAST_START_MS))


def _pick_thread(
    config: WorldConfig, threads: Threads, user_N: Ints, session_N: Ints, day: int
) -> Ints:
    """Pick the thread of each session and give its category."""
    draw = keyed_uniform(config.seed, "session_thread", user_N, session_N, day)
    edges = np.cumsum(threads.weight_US, axis=1)[user_N]
    slot = (draw[:, None] > edges[:, :-1]).sum(axis=1)
    category_N = threads.category_US[user_N, slot]
    first_N = threads.category_US[user_N, 0]
    return np.asarray(np.where(category_N < 0, first_N, category_N))


def _lay_out(
    seed: int,
    day: int,
    user_N: Ints,
    session_N: Ints,
    start_N: Ints,
    category_N: Ints,
    organic_N: Ints,
    request_N: Ints,
) -> Events:
    """Order the slots of each session; the first is organic, the rest are shuffled."""
    size_N = organic_N + request_N
    of_E = np.repeat(np.arange(len(user_N)), size_N)
    first_N = np.cumsum(size_N) - size_N
    number_E = np.arange(len(of_E)) - first_N[of_E]
    keys = (user_N[of_E], session_N[of_E], number_E, day)
    draw_E = np.where(number_E == 0, -1.0, keyed_uniform(seed, "slot_order", *keys))
    order = np.lexsort((draw_E, of_E))
    rank_E = np.empty(len(of_E), dtype=np.int64)
    rank_E[order] = np.arange(len(of_E))
    is_request_E = rank_E - first_N[of_E] >= organic_N[of_E]
    step_ms = 1000.0 - 40_000.0 * np.log(keyed_uniform(seed, "slot_gap", *keys))
    total_ms = np.cumsum(step_ms)
    elapsed_ms = total_ms - (total_ms - step_ms)[first_N[of_E]]
    # Very long sessions are cut so that every event stays inside its day.
    ts_E = start_N[of_E] + np.minimum(elapsed_ms, _MAX_SESSION_MS + number_E).astype(np.int64)
    slots = Events(user_N[of_E], category_N[of_E], ts_E, number_E, session_N[of_E], is_request_E)
    by_time = np.lexsort((number_E, ts_E, slots.user_E))
    return take(slots, by_time)


def _pick_content(
    config: WorldConfig,
    content: ContentCatalog,
    num_visible: int,
    who: tuple[Ints, Ints, tuple[Ints, Ints, Ints, int]],
    brand_UX: Floats,
) -> Ints:
    """Pick a brand the user likes, then an item of that brand by popularity."""
    user, category, keys = who
    width = config.brands_per_category
    brand_A = content.brand_A[:num_visible]
    order = np.argsort(brand_A, kind="stable")
    mass = np.r_[0.0, np.cumsum(content.popularity_A[:num_visible][order])]
    edge = np.searchsorted(brand_A[order], np.arange(config.num_categories * width + 1))
    columns = category[:, None] * width + np.arange(width)
    share_X = np.diff(mass[edge])
    like = share_X[columns] * np.exp(1.2 * brand_UX[user[:, None], columns])
    total = np.cumsum(like, axis=1)
    draw = keyed_uniform(config.seed, "organic_brand", *keys)[:, None] * total[:, -1:]
    within = np.minimum((draw > total).sum(axis=1), width - 1)
    brand = category * width + within
    low, high = mass[edge[brand]], mass[edge[brand + 1]]
    point = low + keyed_uniform(config.seed, "organic_item", *keys) * (high - low)
    position = np.searchsorted(mass, point, side="right") - 1
    # A category without visible items falls back to the most popular item overall.
    empty = total[:, -1] <= 0
    item = order[
        np.clip(position, edge[brand], np.maximum(edge[brand + 1] - 1, edge[brand])) % num_visible
    ]
    return np.where(empty, int(np.argmax(content.popularity_A[:num_visible])), item)
