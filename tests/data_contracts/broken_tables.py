"""One way to break every measure and drift rule of every contract, one check each.

Rule -> function from (table, references) to the broken (table, references).
"""

import numpy as np
import pyarrow as pa

from gpr_core.data.tables import DAY_MS
from tests.data_contracts.cell_changes import with_cells, with_column
from tests.data_contracts.valid_tables import START

LAST = START + 9 * DAY_MS


def _column(name, value):
    """Fill a column."""
    return lambda table, references: (with_column(table, name, value), references)


def _cells(**columns):
    """Change row 0."""
    return lambda table, references: (with_cells(table, {0: columns}), references)


def _last_day(name, value, *, clock):
    """Fill a column on the last day."""

    def change(table, references):
        is_last = table[clock].to_numpy() >= LAST
        values = table[name].to_pylist()
        chosen = [value if last else old for last, old in zip(is_last, values, strict=True)]
        return with_column(table, name, chosen), references

    return change


def _times(name, factor, *, clock):
    """Multiply a column of numbers or vectors on the last day."""

    def change(table, references):
        is_last = table[clock].to_numpy() >= LAST
        values = [np.asarray(value) for value in table[name].to_pylist()]
        chosen = [
            (value * factor if last else value).tolist()
            for last, value in zip(is_last, values, strict=True)
        ]
        return with_column(table, name, chosen), references

    return change


def _without_last_day_but(rows, *, clock):
    """Keep few rows of the last day."""

    def change(table, references):
        position = np.arange(table.num_rows)
        is_last = table[clock].to_numpy() >= LAST
        return table.filter(pa.array(~is_last | (position % 120 < rows))), references

    return change


def _more_last_day(key, times, *, clock):
    """Repeat the last day under new keys."""

    def change(table, references):
        last = table.filter(pa.array(table[clock].to_numpy() >= LAST))
        parts = [table]
        for turn in range(1, times):
            keys = [value + 100_000 * turn for value in last[key].to_pylist()]
            parts.append(with_column(last, key, keys))
        return pa.concat_tables(parts), references

    return change


def _without_rows(keep):
    """Keep some rows."""
    return lambda table, references: (table.filter(pa.array(keep(table))), references)


def _first_column(name):
    """Make the first number of all vectors constant."""

    def change(table, references):
        return with_column(
            table, name, [[0.5, *vector[1:]] for vector in table[name].to_pylist()]
        ), references

    return change


def _all_users_busy(table, references):
    """Give the last day statistics of all users."""
    last = table.slice(table.num_rows - 1, 1)
    rows = [with_cells(last, {0: {"user_key": key}}) for key in range(10, 60)]
    return pa.concat_tables([table, *rows]), references


def _no_clicks(table, references):
    return table, {**references, "ad_events": references["ad_events"].slice(0, 1)}


def _half_the_clicks(table, references):
    events = references["ad_events"]
    return table, {**references, "ad_events": events.take(np.arange(0, events.num_rows, 2))}


def _flood(key, *, clock):
    """Make the last day ten times as large, all in one category."""

    def change(table, references):
        table, references = _more_last_day(key, 10, clock=clock)(table, references)
        return _last_day("cat_l1", 50, clock=clock)(table, references)

    return change


def _late_conversions(table, references):
    is_conversion = table["type"].to_numpy() == 2
    shift = np.where(is_conversion, 8 * DAY_MS, 0)
    for name in ("event_ts", "ingest_ts"):
        table = with_column(table, name, (table[name].to_numpy() + shift).tolist())
    return table, references


def _kinds(old, new):
    """Turn one kind of token into another."""

    def change(table, references):
        kinds = table["kind"].to_pylist()
        return with_column(
            table, "kind", [new if kind in old else kind for kind in kinds]
        ), references

    return change


def _omega(action, factor):
    """Scale the weights of one outcome."""

    def change(table, references):
        is_action = table["action"].to_numpy() == action
        omega = table["omega"].to_numpy() * np.where(is_action, factor, 1.0)
        return with_column(table, "omega", omega.tolist()), references

    return change


def _drop(row):
    """Leave out one row, counted from the end if negative."""
    return _without_rows(lambda table: np.arange(table.num_rows) != row % table.num_rows)


def _many_clipped(table, references):
    omega = table["omega"].to_numpy().copy()
    omega[::3] = omega.max()
    return with_column(table, "omega", omega.tolist()), references


TABLE_BREAKS = {
    "US-013": _column("consent", 0),
    "US-050": _last_day("age_bucket", 6, clock="valid_from"),
    "UD-050": _all_users_busy,
    "AD-050": _flood("ad_key", clock="launch_ts"),
    "AV-016": _cells(bid_micros=10**15),
    "AV-017": _column("status", 1),
    "AV-050": _times("bid_micros", 1000, clock="valid_from"),
    "SL-050": _times("delta_micros", 50, clock="ts"),
    "CO-050": _flood("content_key", clock="publish_ts"),
    "EM-004": _cells(x_text=[1.0] * 5),
    "EM-005": _cells(x_img=[1.0] * 5),
    "EM-006": _cells(encoder_version="e2"),
    "EM-007": _first_column("x_text"),
    "EM-008": _first_column("x_img"),
    "EM-050": _times("x_text", 9, clock="encoded_ts"),
    "RQ-050": _without_last_day_but(10, clock="ts"),
    "RQ-051": _last_day("scene", 0, clock="ts"),
    "IM-030": _no_clicks,
    "IM-031": _half_the_clicks,
    "IM-032": _column("propensity", 0.05),
    "IM-050": _without_last_day_but(10, clock="exposure_ts"),
    "IM-051": _last_day("p_ctr", 0.5, clock="exposure_ts"),
    "IM-052": _last_day("bid_type_at", 0, clock="exposure_ts"),
    "EV-030": _without_rows(lambda table: table["type"].to_numpy() == 1),
    "EV-031": _late_conversions,
    "EV-050": _more_last_day("ev_key", 4, clock="event_ts"),
    "EV-051": _last_day("type", 3, clock="event_ts"),
    "OE-050": _more_last_day("ev_key", 4, clock="ts"),
    "OE-051": _last_day("action", 0, clock="ts"),
    "OE-052": _last_day("dwell_ms", 1, clock="ts"),
    "TL-030": _kinds((2, 3), 0),
    "TL-031": _kinds((2,), 1),
    "TL-032": _kinds((3,), 1),
    "VW-030": _omega(0, 2.0),
    "VW-031": _cells(omega=1e-6),
    "VW-032": _many_clipped,
    "VW-033": _omega(1, 0.01),
    "VW-034": _omega(2, 0.01),
    "TS-030": _column("split", 0),
    "TS-031": _column("split", 1),
    "TS-032": _cells(weight=100.0),
    "TS-033": _drop(-1),
    "IV-030": _cells(x=[0.5] * 5),
    "IV-031": _first_column("x"),
    "IV-032": _drop(0),
    "IV-033": _drop(-1),
    "ID-030": _cells(old_version="t2"),
    "ID-031": _cells(new_version="t2"),
    "SM-030": _cells(tokenizer_version="t2"),
    "SM-031": _drop(-1),
    "CA-030": _drop(-1),
    "SR-030": _column("is_synthetic", True),
    "SI-030": _drop(-1),
    "RO-030": _cells(snapshot_hash="s2"),
}
