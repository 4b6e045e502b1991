"""One day of the world: nights pass, people come, ads are shown, things happen.

U = users, B = requests, M = impressions, E = organic events, C = categories, Q = landed rows.

Source: specification 6.2.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.data.tables import DAY_MS, HOUR_MS, AdEventType, OrganicAction
from gpr_core.world.behavior import (
    INTENT_HALF_LIFE_MS,
    Logits,
    Offsets,
    Outcomes,
    Pairs,
    Probabilities,
    draw_outcomes,
    probabilities,
    recent_intent,
    true_logits,
)
from gpr_core.world.columns import join, take
from gpr_core.world.config import WorldConfig
from gpr_core.world.economics import (
    Market,
    MarketDay,
    Targeting,
    build_targeting,
    first_market,
)
from gpr_core.world.logging_policy import CascadeRun, Served
from gpr_core.world.rankers import Profiles, Ranking, Scores
from gpr_core.world.sessions import (
    Organic,
    Requests,
    draw_events,
    draw_organic,
    draw_requests,
)
from gpr_core.world.state import WINDOW_DAYS, AdEvents, WorldState
from gpr_core.world.taxonomy import (
    AdCatalog,
    ContentCatalog,
    Floats,
    Ints,
    build_ads,
    build_content,
    positive_keys,
)
from gpr_core.world.users import (
    Population,
    brand_affinity,
    build_population,
    category_affinity,
)

EXPOSURE_LATENCY_MS = 150

_WEEK_DECAY = 0.5 ** (1 / 7)
_LIKED = (OrganicAction.COMPLETE, OrganicAction.LIKE, OrganicAction.SHARE, OrganicAction.FOLLOW)


@dataclass(frozen=True, slots=True)
class World:
    """What is fixed once the configuration is.

    Attributes:
        config: The configuration.
        population: The people.
        ads: All ads that may be needed.
        content: All organic items that may be needed.
        targeting: Whom the ads want.
        first_market: First bids and budgets of the ads.
    """

    config: WorldConfig
    population: Population
    ads: AdCatalog
    content: ContentCatalog
    targeting: Targeting
    first_market: Market


class DayTruth(NamedTuple):
    """What only the oracle may know about the requests of a day.

    Attributes:
        intent_BC: [B, C] float32, recent intent.
        truth: True probabilities of the impressions.
        logits: Their logits without offsets.
        scores: Raw scores of the cascade for the impressions.
        shown_M: [M] int64, earlier impressions of the ad to the user.
    """

    intent_BC: npt.NDArray[np.float32]
    truth: Probabilities
    logits: Logits
    scores: Scores
    shown_M: Ints


class DayLog(NamedTuple):
    """Everything that happened on a day.

    Attributes:
        requests: Requests.
        organic: Organic events, landed or not.
        served: Impressions.
        impression_key_M: [M] uint64.
        ad_events: Clicks, conversions and hides of the impressions, landed or not.
        market: The market of the day.
        known: What the oracle knows.
        recent_UC: [U, C] float64, decayed organic counts at the end of the day.
    """

    requests: Requests
    organic: Organic
    served: Served
    impression_key_M: npt.NDArray[np.uint64]
    ad_events: AdEvents
    market: MarketDay
    known: DayTruth
    recent_UC: Floats


def build_world(config: WorldConfig, num_ads: int, num_content: int) -> World:
    """Draw everything that is fixed.

    Args:
        config: The configuration.
        num_ads: Ads launched by the last day that is needed.
        num_content: Organic items published by then.

    Returns:
        The world.
    """
    population, ads = build_population(config), build_ads(config, num_ads)
    return World(
        config=config,
        population=population,
        ads=ads,
        content=build_content(config, num_content),
        targeting=build_targeting(config, ads),
        first_market=first_market(config, ads, population),
    )


def live_day(
    world: World,
    state: WorldState,
    market: MarketDay,
    offsets: Offsets,
    day: int,
    num_visible: int,
) -> DayLog:
    """Let one day happen.

    Args:
        world: What is fixed.
        state: State of this morning: threads, devices and calibration are of this day already.
        market: The market of this day.
        offsets: Constants of the true probabilities.
        day: Day ordinal.
        num_visible: Organic items that are indexed on this day.

    Returns:
        What happened.
    """
    config = world.config
    affinity = category_affinity(config, state.threads), brand_affinity(config, state.threads)
    events = draw_events(config, world.population, state.threads, day)
    requests = draw_requests(config, events, state.device_U, day)
    organic = draw_organic(config, events, world.content, num_visible, affinity, day)
    recent_BC, recent_UC = _decayed_counts(
        state.recent_UC, organic, world.content.category_A, requests, day
    )
    profiles = Profiles(state.week_UC, state.brand_UX, recent_BC, state.exposures)
    ranking = Ranking(config, world.ads, state.rankers, requests, profiles)
    cascade = CascadeRun(config, world.population, world.targeting, ranking, requests, market)
    served = cascade.serve(day)
    scores = ranking.scores(served.row_M, served.ad_M)
    known = _reveal(world, state, requests, served, (*affinity, recent_intent(recent_BC)), offsets)
    known = known._replace(scores=scores)
    outcomes = draw_outcomes(
        config, world.ads, requests.key_B[served.row_M], served.ad_M, known.truth
    )
    request_key_M = requests.key_B[served.row_M]
    impression_key_M = positive_keys(config.seed, "impression", request_key_M)
    exposure_ts_M = requests.ts_B[served.row_M] + EXPOSURE_LATENCY_MS
    return DayLog(
        requests=requests,
        organic=organic,
        served=served,
        impression_key_M=impression_key_M,
        ad_events=_ad_events(config.seed, impression_key_M, exposure_ts_M, outcomes),
        market=market,
        known=known,
        recent_UC=recent_UC,
    )


def end_day(world: World, state: WorldState, log: DayLog, day: int) -> WorldState:
    """Carry a day over to the night: profiles, counters, ledger, what has not landed yet.

    Args:
        world: What is fixed.
        state: State of the morning.
        log: What happened.
        day: Day ordinal.

    Returns:
        State of the evening; threads, devices and calibration are still those of the day.
    """
    organic, served = log.organic, log.served
    liked_E = np.isin(organic.action_E, _LIKED)
    read_E = organic.action_E != OrganicAction.SKIP
    week_UC, brand_UX = _WEEK_DECAY * state.week_UC, _WEEK_DECAY * state.brand_UX
    category_E = world.content.category_A[organic.item_E]
    np.add.at(week_UC, (organic.user_E[read_E], category_E[read_E]), 1.0)
    brand_E = world.content.brand_A[organic.item_E]
    np.add.at(brand_UX, (organic.user_E[liked_E], brand_E[liked_E]), 1.0)
    spent_A = log.market.before.spent_total_A.copy()
    np.add.at(spent_A, served.ad_M, served.price_M)
    all_organic = join(state.pending_organic, organic)
    all_ads = join(state.pending_ads, log.ad_events)
    end_ts = (day + 1) * DAY_MS
    landed_E = all_organic.ingest_ts_E < end_ts
    requests_WU, organic_WUC = state.requests_WU.copy(), state.organic_WUC.copy()
    slot = day % WINDOW_DAYS
    requests_WU[slot] = np.bincount(log.requests.user_B, minlength=world.config.num_users)
    organic_WUC[slot] = 0
    landed_category = world.content.category_A[all_organic.item_E[landed_E]]
    np.add.at(organic_WUC[slot], (all_organic.user_E[landed_E], landed_category), 1)
    return replace(
        state,
        recent_UC=log.recent_UC,
        week_UC=week_UC,
        brand_UX=brand_UX,
        market=log.market.after._replace(spent_total_A=spent_A),
        exposures=state.exposures.plus(log.requests.user_B[served.row_M], served.ad_M),
        requests_WU=requests_WU,
        organic_WUC=organic_WUC,
        pending_ads=take(all_ads, all_ads.ingest_ts_Q >= end_ts),
        pending_organic=take(all_organic, ~landed_E),
    )


def landed(state: WorldState, log: DayLog, day: int) -> tuple[Organic, AdEvents]:
    """Give the events that land on a day: late ones of earlier days and most of its own.

    Args:
        state: State of the morning.
        log: What happened on the day.
        day: Day ordinal.

    Returns:
        Organic events and ad events, each by (ingest time, key).
    """
    end_ts = (day + 1) * DAY_MS
    organic = join(state.pending_organic, log.organic)
    events = join(state.pending_ads, log.ad_events)
    organic = take(organic, organic.ingest_ts_E < end_ts)
    events = take(events, events.ingest_ts_Q < end_ts)
    return (
        take(organic, np.lexsort((organic.key_E, organic.ingest_ts_E))),
        take(events, np.lexsort((events.key_Q, events.ingest_ts_Q))),
    )


def earlier_impressions(state: WorldState, user_M: Ints, ad_M: Ints) -> Ints:
    """Count the impressions of the same ad to the same user before each impression.

    Args:
        state: State of the morning.
        user_M: [M] int64, rows of users, in time order.
        ad_M: [M] int64, rows of ads.

    Returns:
        [M] int64.
    """
    order = np.lexsort((np.arange(len(user_M)), ad_M, user_M))
    user, ad = user_M[order], ad_M[order]
    is_first = np.r_[True, (np.diff(user) != 0) | (np.diff(ad) != 0)][: len(user)]
    start = np.maximum.accumulate(np.where(is_first, np.arange(len(user)), 0))
    today_M = np.empty(len(user), dtype=np.int64)
    today_M[order] = np.arange(len(user)) - start
    return state.exposures.of(user_M, ad_M) + today_M


def _reveal(
    world: World,
    state: WorldState,
    requests: Requests,
    served: Served,
    mind: tuple[Floats, Floats, npt.NDArray[np.float32]],
    offsets: Offsets,
) -> DayTruth:
    """Compute what is true of the impressions."""
    like_UC, like_UX, intent_BC = mind
    row_M, ad_M = served.row_M, served.ad_M
    user_M = requests.user_B[row_M]
    shown_M = earlier_impressions(state, user_M, ad_M)
    category_M = world.ads.category_A[ad_M]
    pairs = Pairs(
        user_M=user_M,
        ad_M=ad_M,
        day_M=requests.ts_B[row_M] // DAY_MS,
        scene_M=requests.scene_B[row_M],
        position_M=requests.position_B[row_M],
        like_category_M=like_UC[user_M, category_M],
        like_brand_M=like_UX[user_M, world.ads.brand_A[ad_M]],
        intent_M=intent_BC[row_M, category_M].astype(np.float64),
        shown_M=shown_M,
    )
    logits = true_logits(world.config, world.population, world.ads, pairs)
    nothing = np.zeros(0)
    return DayTruth(
        intent_BC=intent_BC,
        truth=probabilities(logits, offsets),
        logits=logits,
        scores=Scores(nothing, nothing, nothing),
        shown_M=shown_M,
    )


def _decayed_counts(
    recent_UC: Floats, organic: Organic, category_A: Ints, requests: Requests, day: int
) -> tuple[Floats, Floats]:
    """Count organic events per category, half counted after 24 h, at each request and at night.

    Events are blown up by 2**(age of the day), so that one running sum per user serves all times.
    """
    num_users, num_categories = recent_UC.shape
    start = day * DAY_MS
    read = organic.action_E != OrganicAction.SKIP
    user, ts = organic.user_E[read], organic.ts_E[read]
    gain = np.exp2((ts - start) / INTENT_HALF_LIFE_MS)
    sums = np.zeros((len(user) + 1, num_categories))
    sums[np.arange(len(user)) + 1, category_A[organic.item_E[read]]] = gain
    sums = np.cumsum(sums, axis=0)
    # Events are sorted by (user, ts): one integer key finds how many precede a request.
    place_E = user * (2 * DAY_MS) + (ts - start)
    first_U = np.searchsorted(place_E, np.arange(num_users + 1) * (2 * DAY_MS))
    place_B = requests.user_B * (2 * DAY_MS) + (requests.ts_B - start)
    until_B = np.searchsorted(place_E, place_B)
    grown_BC = sums[until_B] - sums[first_U[requests.user_B]]
    shrink_B = np.exp2(-(requests.ts_B - start) / INTENT_HALF_LIFE_MS)
    recent_BC = (recent_UC[requests.user_B] + grown_BC) * shrink_B[:, None]
    end_UC = (recent_UC + sums[first_U[1:]] - sums[first_U[:-1]]) * np.exp2(
        -DAY_MS / INTENT_HALF_LIFE_MS
    )
    return recent_BC, end_UC


def _ad_events(
    seed: int, impression_key_M: npt.NDArray[np.uint64], exposure_ts_M: Ints, outcomes: Outcomes
) -> AdEvents:
    """List clicks, conversions and hides with their times."""
    click_ts_M = exposure_ts_M + outcomes.click_delay_ms_M
    conversion_ts_M = click_ts_M + outcomes.conversion_delay_ms_M
    hide_ts_M = exposure_ts_M + outcomes.hide_delay_ms_M
    # Every fiftieth or so partner reports its conversions hours later.
    lag_M = outcomes.ingest_lag_ms_M
    late_M = np.where(lag_M > 15_000, lag_M + HOUR_MS, lag_M)
    nothing_M = np.zeros(len(lag_M), dtype=np.int64)
    parts = [
        (AdEventType.CLICK, outcomes.is_click_M, click_ts_M, lag_M, nothing_M),
        (
            AdEventType.CONVERSION,
            outcomes.is_conversion_M,
            conversion_ts_M,
            late_M,
            outcomes.value_micros_M,
        ),
        (AdEventType.HIDE, outcomes.is_hide_M, hide_ts_M, lag_M, nothing_M),
    ]
    rows = [
        AdEvents(
            key_Q=positive_keys(seed, "ad_event", impression_key_M[has_M], int(kind)),
            impression_Q=impression_key_M[has_M],
            type_Q=np.full(int(has_M.sum()), int(kind), dtype=np.int64),
            ts_Q=ts_M[has_M],
            ingest_ts_Q=(ts_M + delay_M)[has_M],
            value_Q=value_M[has_M],
        )
        for kind, has_M, ts_M, delay_M, value_M in parts
    ]
    return join(join(rows[0], rows[1]), rows[2])
