"""Anticipatory request rehearsal (ARR): requests that users are about to make.

A rehearsed request is a user's present: the latest organic events and the profile in force are
those of the timeline as it is, and only one environment token is appended at the snapshot's time.
Nothing is invented but the place it would happen in, which is drawn from what the system served in
the same hour and privacy setting over the last day. Letters: U users, M rehearsed requests.

Source: paper section 3.3 (ARR); schedule and construction from specification 6.3.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpr_core.data.engine import Engine, relation
from gpr_core.data.keyed_sampling import keyed_hash, keyed_uniform
from gpr_core.data.tables import DAY_MS, HOUR_MS, ItemKind, TokenKind
from gpr_core.features.timeline import FIELD_COLUMNS, TIMELINE_SCHEMA
from gpr_core.features.token_fields import environment_fields
from gpr_core.simulation.as_of_counts import Ints

REQUEST_COLUMNS = (
    "request_key", "user_key", "ts", "age_bucket", "gender", "geo_l1", "geo_l2", "device", "scene",
    "position", "placement", "os", "net", "privacy", "consent", "is_synthetic",
)  # fmt: skip

_PLACE_COLUMNS = ("scene", "position", "placement")
_RATE_DAYS = 28
_PEAK_HOURS = 8
_HIGH_ACTIVITY = 0.6
_PEAK_INTERVAL_H = 2.0
_OFF_PEAK_INTERVAL_H = 4.0
_LONGEST_INTERVAL_H = 48.0


class Schedule(NamedTuple):
    """How often each active user is rehearsed.

    Attributes:
        user_key_U: [U] int64, ascending.
        per_day_U: [U] float64, rehearsals per day.
        latest_row_U: [U] int64, row of the user's latest decision.
        is_high_U: [U] bool, whether the user belongs to the two most active groups.
    """

    user_key_U: Ints
    per_day_U: npt.NDArray[np.float64]
    latest_row_U: Ints
    is_high_U: npt.NDArray[np.bool_]


def rehearsal_schedule(decisions: pa.Table, now_ts: int) -> Schedule:
    """Decide how often to rehearse each user who was active in the last 28 days.

    The upper two fifths by request rate are rehearsed every 2 hours in the 8 busiest hours and
    every 4 hours otherwise; the others in proportion to their rate, at least every 48 hours.

    Args:
        decisions: Curated decisions.
        now_ts: Epoch ms; later rows are not looked at.

    Returns:
        The schedule; without users if nobody was active.
    """
    ts_X, user_X = _ints(decisions, "ts"), _ints(decisions, "user_key")
    recent = np.flatnonzero((ts_X < now_ts) & (ts_X >= now_ts - _RATE_DAYS * DAY_MS))
    recent = recent[np.argsort(ts_X[recent], kind="stable")]
    user_key_U, inverse = np.unique(user_X[recent], return_inverse=True)
    rate_U = np.bincount(inverse, minlength=user_key_U.size) / _RATE_DAYS
    latest_row_U = np.zeros(user_key_U.size, dtype=np.int64)
    latest_row_U[inverse] = recent
    if not user_key_U.size:
        return Schedule(user_key_U, rate_U, latest_row_U, np.zeros(0, dtype=bool))
    is_high_U = rate_U >= np.quantile(rate_U, _HIGH_ACTIVITY)
    stretch_U = np.where(is_high_U, 1.0, np.median(rate_U[is_high_U]) / rate_U)
    hours = {_PEAK_INTERVAL_H: _PEAK_HOURS, _OFF_PEAK_INTERVAL_H: 24 - _PEAK_HOURS}
    per_day_U = sum(
        count / np.clip(base * stretch_U, base, _LONGEST_INTERVAL_H)
        for base, count in hours.items()
    )
    return Schedule(user_key_U, np.asarray(per_day_U), latest_row_U, is_high_U)


def rehearse(
    decisions: pa.Table, timelines: pa.Table, *, count: int, now_ts: int, seed: int
) -> tuple[pa.Table, pa.Table]:
    """Make rehearsed requests, at most one per user, favoring those who come often.

    Users whose latest request was private (a session of its own) are left out: they may not be
    followed.

    Args:
        decisions: Curated decisions.
        timelines: Curated timelines.
        count: Requests to make at most.
        now_ts: Their time, epoch ms; nothing later is looked at.
        seed: Run seed.

    Returns:
        (requests with the columns of `REQUEST_COLUMNS`, their E tokens in `TIMELINE_SCHEMA`).
    """
    schedule = rehearsal_schedule(decisions, now_ts)
    open_U = _is_followed(schedule, decisions, timelines)
    # Smallest exponential clocks: a sample without replacement, proportional to the rate.
    clock_U = -np.log(keyed_uniform(seed, "rehearsed users", schedule.user_key_U))
    clock_U = np.where(open_U, clock_U / np.maximum(schedule.per_day_U, 1e-12), np.inf)
    chosen = np.argsort(clock_U, kind="stable")[: min(count, int(open_U.sum()))]
    chosen = np.sort(chosen)
    user_key = schedule.user_key_U[chosen]
    own = decisions.take(schedule.latest_row_U[chosen])
    place = decisions.take(_donors(decisions, own, user_key, now_ts=now_ts, seed=seed))
    request_key = keyed_hash(seed, "rehearsed request", user_key, now_ts) >> np.uint64(1)
    columns: dict[str, pa.Array | pa.ChunkedArray] = {
        name: (place if name in _PLACE_COLUMNS else own)[name] for name in REQUEST_COLUMNS
    }
    columns["request_key"] = pa.array(np.maximum(request_key, np.uint64(1)), pa.uint64())
    columns["ts"] = pa.array(np.full(chosen.size, now_ts), pa.int64())
    columns["is_synthetic"] = pa.array(np.ones(chosen.size, dtype=bool))
    requests = pa.table(columns).combine_chunks()
    return requests, _environment_tokens(requests)


def _is_followed(
    schedule: Schedule, decisions: pa.Table, timelines: pa.Table
) -> npt.NDArray[np.bool_]:
    """Tell users whose latest request belongs to their own, open sequence."""
    latest_key = decisions["request_key"].take(pa.array(schedule.latest_row_U))
    is_request = pc.equal(timelines["kind"], int(TokenKind.ENVIRONMENT))
    tokens = timelines.filter(is_request).select(["request_key", "user_key"])
    position = pc.index_in(latest_key, value_set=tokens["request_key"])
    known = np.asarray(pc.is_valid(position).to_numpy(zero_copy_only=False)).astype(bool)
    row = np.asarray(pc.fill_null(position, 0).to_numpy()).astype(np.int64)
    sequence = _ints(tokens, "user_key")
    if not sequence.size:
        return known
    return np.asarray(known & (sequence[row] == schedule.user_key_U))


def _donors(decisions: pa.Table, own: pa.Table, user_key: Ints, *, now_ts: int, seed: int) -> Ints:
    """Choose for each user a request of the last day, of the same hour and privacy if there is."""
    ts_X = _ints(decisions, "ts")
    pool = np.flatnonzero((ts_X < now_ts) & (ts_X >= now_ts - DAY_MS))
    if not pool.size:
        pool = np.flatnonzero(ts_X < now_ts)
    hour = now_ts // HOUR_MS % 24
    mismatch = (ts_X[pool] // HOUR_MS % 24 != hour).astype(np.int64)
    privacy = _ints(decisions, "privacy")[pool]
    draw = keyed_uniform(seed, "rehearsed place", user_key)
    donor = np.zeros(user_key.size, dtype=np.int64)
    for setting in np.unique(_ints(own, "privacy")):
        penalty = 2 * (privacy != setting) + mismatch
        best = pool[penalty == penalty.min()]
        rows = np.flatnonzero(_ints(own, "privacy") == setting)
        donor[rows] = best[(draw[rows] * best.size).astype(np.int64)]
    return donor


def _environment_tokens(requests: pa.Table) -> pa.Table:
    """Lay the environment of requests out as timeline tokens."""
    rows = relation(requests)
    fields = environment_fields(rows)
    constants = {
        "kind": int(TokenKind.ENVIRONMENT),
        "item_kind": int(ItemKind.NONE),
        "item_key": 0,
        "action": 0,
    }
    tokens = rows.select(
        user_key=rows["user_key"],
        ts=rows["ts"],
        order_key=rows["request_key"],
        request_key=rows["request_key"],
        ingest_ts=rows["ts"],
        **{name: value.cast("int16") for name, value in zip(FIELD_COLUMNS, fields, strict=True)},
    ).mutate(**constants)
    with Engine() as engine:
        return engine.collect(tokens, ("user_key", "ts"), TIMELINE_SCHEMA)


def _ints(table: pa.Table, name: str) -> Ints:
    """Read an integer column as int64; keys lie below 2**63."""
    return np.asarray(table[name].to_numpy()).astype(np.int64)
