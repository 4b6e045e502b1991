"""Days before the first day: they fill the profiles and bring all rates to their targets.

Nothing of these days lands. They give the constants of the true probabilities (so that the logs
show the click, conversion and hide rates of the configuration) and the first calibration of the
logging rankers; later nights keep the rankers calibrated.

M = impressions.

Source: specification 6.2 (target base rates); the procedure is our own.
"""

import logging
from dataclasses import replace
from datetime import date
from typing import NamedTuple

import numpy as np
from scipy.special import expit, logit

from gpr_core.world.behavior import Offsets
from gpr_core.world.day import DayLog, World, end_day, live_day
from gpr_core.world.economics import NEVER_HOUR, Market, MarketDay
from gpr_core.world.exposures import no_exposures
from gpr_core.world.rankers import Line, Rankers
from gpr_core.world.state import (
    WorldState,
    new_windows,
    no_ad_events,
    no_organic,
)
from gpr_core.world.taxonomy import Floats
from gpr_core.world.users import first_threads, next_threads

PILOT_DAYS = 10

_LOGGER = logging.getLogger(__name__)
_COUNTED_DAYS = 3
_NIGHTLY_STEP = 0.3
_LARGEST_STEP = 0.15


class Beginning(NamedTuple):
    """Where the first day starts from.

    Attributes:
        state: State of the evening before the first day.
        offsets: Constants of the true probabilities.
    """

    state: WorldState
    offsets: Offsets


def begin(world: World, first_day: date) -> Beginning:
    """Live the pilot days, then forget everything but profiles and calibration.

    Args:
        world: What is fixed.
        first_day: First day that will land.

    Returns:
        The beginning of the world.
    """
    config = world.config
    first = first_day.toordinal() - date(1970, 1, 1).toordinal()
    market = Market(*(values[: config.num_ads] for values in world.first_market))
    state = _empty_state(world, market, first - PILOT_DAYS)
    offsets = Offsets(*(float(logit(rate)) - 1.5 for rate in _targets(world)))
    logs: list[DayLog] = []
    for day in range(first - PILOT_DAYS, first):
        if day > first - PILOT_DAYS:
            threads = next_threads(config, world.population, state.threads, day)
            state = replace(state, threads=threads)
        log = live_day(world, state, _still(state.market), offsets, day, config.num_content)
        logs = [*logs, log][-_COUNTED_DAYS:]
        offsets = _fit_offsets(logs, world)
        state = replace(end_day(world, state, log, day), rankers=_fit_rankers(logs, offsets))
    requests_WU, organic_WUC = new_windows(config)
    return Beginning(
        replace(
            state,
            market=market,
            exposures=no_exposures(),
            requests_WU=requests_WU,
            organic_WUC=organic_WUC,
            pending_ads=no_ad_events(),
            pending_organic=no_organic(),
        ),
        offsets,
    )


def recalibrated(rankers: Rankers, log: DayLog) -> Rankers:
    """Move the intercepts a little towards what the day has shown.

    Stands for the nightly calibration job of a production ranker. It compares with true
    probabilities instead of the few clicks of a day, which would only add noise.

    Args:
        rankers: Calibration of the day.
        log: What happened.

    Returns:
        Calibration of the next day.
    """
    if not len(log.served.row_M):
        return rankers
    truth, predicted = log.known.truth, log.served.predicted
    weights = (np.ones_like(truth.p_ctr_M), truth.p_ctr_M, np.ones_like(truth.p_ctr_M))
    lines = []
    for line, true_M, predicted_M, weight_M in zip(rankers, truth, predicted, weights, strict=True):
        ratio = (weight_M * true_M).sum() / (weight_M * predicted_M.astype(np.float64)).sum()
        step = float(np.clip(_NIGHTLY_STEP * np.log(ratio), -_LARGEST_STEP, _LARGEST_STEP))
        lines.append(Line(line.intercept + step, line.slope))
    return Rankers(*lines)


def fit_line(raw_M: Floats, target_M: Floats, weight_M: Floats) -> Line:
    """Fit a logistic line to soft labels by Newton's method.

    Args:
        raw_M: [M] float64, raw scores.
        target_M: [M] float64 in (0, 1), soft labels.
        weight_M: [M] float64 >= 0.

    Returns:
        Intercept and slope; the weighted means of predictions and labels agree.
    """
    design = np.stack([np.ones_like(raw_M), raw_M], axis=1)
    mean = float((weight_M * target_M).sum() / weight_M.sum())
    beta = np.array([float(logit(mean)), 0.0])
    for _ in range(25):
        p_M = expit(design @ beta)
        gradient = design.T @ (weight_M * (target_M - p_M))
        curvature = design.T @ (design * (weight_M * p_M * (1 - p_M))[:, None])
        beta = beta + np.linalg.solve(curvature + 1e-9 * np.eye(2), gradient)
    return Line(float(beta[0]), float(beta[1]))


def _targets(world: World) -> tuple[float, float, float]:
    """Give the rates that the logs should show."""
    config = world.config
    return config.base_ctr, config.base_cvr, config.base_hide


def _empty_state(world: World, market: Market, day: int) -> WorldState:
    """Make the state before the first pilot day."""
    config = world.config
    requests_WU, organic_WUC = new_windows(config)
    shape = (config.num_users, config.num_categories)
    lines = [Line(float(logit(rate)) - 1.0, 0.8) for rate in _targets(world)]
    return WorldState(
        threads=first_threads(config, world.population, day),
        device_U=world.population.device_U,
        consent_U=world.population.consent_U,
        recent_UC=np.zeros(shape),
        week_UC=np.zeros(shape),
        brand_UX=np.zeros((shape[0], shape[1] * config.brands_per_category)),
        market=market,
        exposures=no_exposures(),
        rankers=Rankers(*lines),
        requests_WU=requests_WU,
        organic_WUC=organic_WUC,
        pending_ads=no_ad_events(),
        pending_organic=no_organic(),
    )


def _still(market: Market) -> MarketDay:
    """Make a market day on which nothing changes."""
    size = len(market.status_A)
    return MarketDay(
        before=market,
        after=market,
        change_hour_A=np.full(size, NEVER_HOUR, dtype=np.int64),
        launch_hour_A=np.zeros(size, dtype=np.int64),
        is_new_A=np.zeros(size, dtype=bool),
    )


def _fit_offsets(logs: list[DayLog], world: World) -> Offsets:
    """Find the constants that give the target rates on these days."""
    click_M, conversion_M, hide_M = (
        np.concatenate([log.known.logits[which] for log in logs]) for which in range(3)
    )
    base_ctr, base_cvr, base_hide = _targets(world)
    click = _solve(click_M, np.ones_like(click_M), base_ctr)
    conversion = _solve(conversion_M, expit(click_M + click), base_cvr)
    return Offsets(click, conversion, _solve(hide_M, np.ones_like(hide_M), base_hide))


def _solve(logit_M: Floats, weight_M: Floats, rate: float) -> float:
    """Find the constant at which the weighted mean probability is the rate, by bisection."""
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        mean = float((weight_M * expit(logit_M + middle)).sum() / weight_M.sum())
        low, high = (middle, high) if mean < rate else (low, middle)
    return (low + high) / 2


def _fit_rankers(logs: list[DayLog], offsets: Offsets) -> Rankers:
    """Calibrate the three raw scores on these days."""
    truth = [
        expit(np.concatenate([log.known.logits[which] for log in logs]) + offsets[which])
        for which in range(3)
    ]
    raw = [np.concatenate([log.known.scores[which] for log in logs]) for which in range(3)]
    weights = [np.ones_like(truth[0]), truth[0], np.ones_like(truth[0])]
    lines = [fit_line(*columns) for columns in zip(raw, truth, weights, strict=True)]
    _LOGGER.debug("calibration of the logging rankers: %s", lines)
    return Rankers(*lines)
