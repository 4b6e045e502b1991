"""Fills a lake from the synthetic world, day by day, and keeps the truth apart.

    <oracle>/world.json                  configuration and constants
    <oracle>/state/day=YYYY-MM-DD.npz    the world on the evening of that day
    <oracle>/days/day=YYYY-MM-DD.npz     what is true of the requests of that day

A day is first written to the oracle tree and then lands in the lake; the landing is the commit. A
run that was killed in between finds the state of the last landed day and lives the day again, with
the same result.
"""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from gpr_core.data.days import day_range, parse_day
from gpr_core.data.lake import Lake
from gpr_core.support.config import to_mapping
from gpr_core.support.errors import ConfigError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.progress import Progress
from gpr_core.world.behavior import Offsets
from gpr_core.world.calibration import begin, recalibrated
from gpr_core.world.config import WorldConfig
from gpr_core.world.day import DayLog, World, build_world, end_day, live_day
from gpr_core.world.economics import next_market_day, num_ads_by, num_content_by
from gpr_core.world.landing import day_tables
from gpr_core.world.state import WorldState, load_state, save_state, write_arrays
from gpr_core.world.users import changed_profiles, next_threads

SOURCE = "world"

_EPOCH = date(1970, 1, 1).toordinal()


def fill_world(
    config: WorldConfig, lake: Lake, oracle_root: Path, through: date, progress: Progress
) -> int:
    """Land every missing day up to `through`.

    Filling day by day and filling at once give the same bytes.

    Args:
        config: The world; must be the one the lake was begun with.
        lake: Where the days land.
        oracle_root: Folder of the truth; made if needed.
        through: Last day to land.
        progress: Where to report progress.

    Returns:
        Number of days landed by this call; 0 if they all were there.

    Raises:
        ConfigError: If `through` is before the first day, or the oracle tree belongs to another
            configuration.
        ArtifactError: If the oracle tree lost the state of the last landed day, or the lake holds
            another source.
    """
    first = parse_day(config.first_day)
    if through < first:
        raise ConfigError(
            f"day {through} is before the first day of the world, {first}",
            where="world.first_day",
            fix=f"ask for {first} or later",
        )
    lake.check_source(SOURCE)
    landed = lake.days()
    start = landed[-1] + timedelta(days=1) if landed else first
    days = day_range(start, through)
    if not days:
        return 0
    progress.phase(f"building a world of {config.num_users} people and {config.num_ads} ads")
    passed = (through - first).days + 1
    world = build_world(config, num_ads_by(config, passed), num_content_by(config, passed))
    state, offsets = _resume(world, oracle_root, landed[-1] if landed else None)
    progress.phase(f"landing {len(days)} days")
    for number, day in enumerate(days, start=1):
        state = _land_day(world, state, offsets, day, lake, oracle_root)
        progress.update(number, len(days))
    return len(days)


def _resume(world: World, oracle_root: Path, last: date | None) -> tuple[WorldState, Offsets]:
    """Begin the world, or take it up after the last landed day."""
    path = oracle_root / "world.json"
    mapping = to_mapping(world.config)
    if last is None:
        state, offsets = begin(world, parse_day(world.config.first_day))
        write_json(path, {"config": mapping, "offsets": list(offsets)})
        return state, offsets
    state = load_state(_state_path(oracle_root, last))
    known = read_json(path)
    if known["config"] != mapping:
        differing = sorted(name for name in mapping if known["config"].get(name) != mapping[name])
        raise ConfigError(
            f"the lake was begun with other values of: {', '.join(differing)}",
            where=str(path),
            fix="restore them, or fill a new lake in an empty folder",
        )
    return state, Offsets(*known["offsets"])


def _land_day(
    world: World,
    evening: WorldState,
    offsets: Offsets,
    day: date,
    lake: Lake,
    oracle_root: Path,
) -> WorldState:
    """Live one day, write its truth and state, land it, and forget older states."""
    config, first = world.config, parse_day(world.config.first_day)
    ordinal, passed = day.toordinal() - _EPOCH, (day - first).days
    device_U, consent_U = changed_profiles(config, evening.device_U, evening.consent_U, ordinal)
    changed_U = (device_U != evening.device_U) | (consent_U != evening.consent_U)
    morning = replace(
        evening,
        threads=next_threads(config, world.population, evening.threads, ordinal),
        device_U=device_U,
        consent_U=consent_U,
    )
    market = next_market_day(
        config, world.first_market, evening.market, ordinal, num_ads_by(config, passed + 1)
    )
    published = num_content_by(config, passed), num_content_by(config, passed + 1)
    log = live_day(world, morning, market, offsets, ordinal, published[0])
    tables = day_tables(
        world, morning, log, ordinal, published=published, changed_U=changed_U if passed else None
    )
    night = end_day(world, morning, log, ordinal)
    night = replace(night, rankers=recalibrated(morning.rankers, log))
    write_arrays(_truth_path(oracle_root, day), _truth(morning, log))
    save_state(_state_path(oracle_root, day), night)
    lake.append_day(day, tables, source=SOURCE)
    # The state of the day before is kept until this day has landed; then nobody needs it.
    current = _state_path(oracle_root, day)
    for path in sorted(current.parent.glob("day=*.npz")):
        if path != current:
            path.unlink()
    return night


def _truth(morning: WorldState, log: DayLog) -> dict[str, np.ndarray]:
    """Collect what the oracle needs to answer questions about this day."""
    shown_B = np.full(len(log.requests.key_B), -1, dtype=np.int64)
    shown_B[log.served.row_M] = log.served.ad_M
    requests = log.requests
    return {
        "request_key": requests.key_B,
        "user": requests.user_B,
        "ts": requests.ts_B,
        "scene": requests.scene_B,
        "position": requests.position_B,
        "shown": shown_B,
        "intent": log.known.intent_BC,
        "category": morning.threads.category_US,
        "weight": morning.threads.weight_US,
        "strength": morning.threads.strength_US,
        "born": morning.threads.born_US,
    }


def _state_path(oracle_root: Path, day: date) -> Path:
    """Name the state file of a day."""
    return oracle_root / "state" / f"day={day.isoformat()}.npz"


def _truth_path(oracle_root: Path, day: date) -> Path:
    """Name the truth file of a day."""
    return oracle_root / "days" / f"day={day.isoformat()}.npz"
