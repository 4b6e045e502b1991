"""What the world must remember from one day to the next, and its file.

U = users, S = thread slots, C = categories, X = brands, A = ads, W = 28 days, Q = pending rows.
"""

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import write_bytes
from gpr_core.world.config import WorldConfig
from gpr_core.world.economics import Market
from gpr_core.world.exposures import Exposures
from gpr_core.world.rankers import Line, Rankers
from gpr_core.world.sessions import Organic
from gpr_core.world.taxonomy import Floats, Ints, Keys
from gpr_core.world.users import Threads

WINDOW_DAYS = 28


class AdEvents(NamedTuple):
    """Clicks, conversions and hides.

    Attributes:
        key_Q: [Q] uint64.
        impression_Q: [Q] uint64, key of the impression.
        type_Q: [Q] int64, `AdEventType`.
        ts_Q: [Q] int64 epoch ms.
        ingest_ts_Q: [Q] int64 epoch ms.
        value_Q: [Q] int64 micros.
    """

    key_Q: Keys
    impression_Q: Keys
    type_Q: Ints
    ts_Q: Ints
    ingest_ts_Q: Ints
    value_Q: Ints


@dataclass(frozen=True, slots=True)
class WorldState:
    """Everything that changes, at the end of a day.

    Attributes:
        threads: Interest threads.
        device_U: [U] int64, device tiers.
        consent_U: [U] int64, 0 or 1.
        recent_UC: [U, C] float64, organic events, half counted after 24 hours.
        week_UC: [U, C] float64, organic events, half counted after a week.
        brand_UX: [U, X] float64, liked organic events, half counted after a week.
        market: Bids, budgets, status and money spent.
        exposures: Earlier impressions.
        rankers: Calibration for the next day.
        requests_WU: [W, U] int64, requests of the last days, by day modulo 28.
        organic_WUC: [W, U, C] int64, landed organic events of the last days, likewise.
        pending_ads: Ad events that have not landed yet.
        pending_organic: Organic events that have not landed yet.
    """

    threads: Threads
    device_U: Ints
    consent_U: Ints
    recent_UC: Floats
    week_UC: Floats
    brand_UX: Floats
    market: Market
    exposures: Exposures
    rankers: Rankers
    requests_WU: Ints
    organic_WUC: Ints
    pending_ads: AdEvents
    pending_organic: Organic


def no_ad_events() -> AdEvents:
    """Make an empty set of ad events.

    Returns:
        Zero rows.
    """
    ints, keys = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
    return AdEvents(keys, keys, ints, ints, ints, ints)


def no_organic() -> Organic:
    """Make an empty set of organic events.

    Returns:
        Zero rows.
    """
    ints, keys = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64)
    return Organic(keys, ints, ints, ints, ints, ints, ints, np.zeros(0))


def new_windows(config: WorldConfig) -> tuple[Ints, Ints]:
    """Make empty counters of the last 28 days.

    Args:
        config: The world.

    Returns:
        Requests [W, U] and organic events [W, U, C], all 0.
    """
    shape = (WINDOW_DAYS, config.num_users)
    return (
        np.zeros(shape, dtype=np.int64),
        np.zeros((*shape, config.num_categories), dtype=np.int64),
    )


def save_state(path: Path, state: WorldState) -> None:
    """Write the state atomically.

    Args:
        path: An .npz file.
        state: The state.
    """
    write_arrays(path, {name: np.asarray(value) for name, value in _flatten(state).items()})


def load_state(path: Path) -> WorldState:
    """Read a state.

    Args:
        path: An .npz file written by `save_state`.

    Returns:
        The same state, bit for bit.

    Raises:
        ArtifactError: If there is no such file.
    """
    arrays = read_arrays(path)

    def part(kind: type, name: str) -> object:
        names = [field.name for field in fields(kind)] if kind is Threads else kind._fields  # type: ignore[attr-defined]
        return kind(*(arrays[f"{name}.{field}"] for field in names))

    lines = [Line(float(a), float(b)) for a, b in arrays["rankers"]]
    parts = {name: part(kind, name) for name, kind in _PARTS.items()}
    plain = {
        field.name: arrays[field.name]
        for field in fields(WorldState)
        if field.name not in _PARTS and field.name != "rankers"
    }
    return WorldState(**parts, **plain, rankers=Rankers(*lines))  # type: ignore[arg-type]


def write_arrays(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> None:
    """Write named arrays atomically; equal arrays give equal bytes.

    Args:
        path: An .npz file.
        arrays: Name -> array.
    """
    sink = io.BytesIO()
    np.savez(sink, allow_pickle=False, **arrays)
    write_bytes(path, sink.getvalue())


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read named arrays.

    Args:
        path: An .npz file.

    Returns:
        Name -> array.

    Raises:
        ArtifactError: If there is no such file.
    """
    if not path.exists():
        raise ArtifactError(
            "the oracle tree has no such file; the lake cannot be continued without it",
            where=str(path),
            fix="restore the oracle tree, or fill a new lake from the first day",
        )
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


_PARTS: dict[str, type] = {
    "threads": Threads,
    "market": Market,
    "exposures": Exposures,
    "pending_ads": AdEvents,
    "pending_organic": Organic,
}


def _flatten(state: WorldState) -> dict[str, object]:
    """Name every array of the state."""
    arrays: dict[str, object] = {}
    for field in fields(state):
        value = getattr(state, field.name)
        if field.name == "threads":
            names = [item.name for item in fields(Threads)]
            arrays |= {f"threads.{name}": getattr(value, name) for name in names}
        elif field.name in _PARTS:
            arrays |= {f"{field.name}.{name}": part for name, part in value._asdict().items()}
        else:
            arrays[field.name] = value
    return arrays
