"""Point-in-time reads: what was known at a time, and never anything later."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from gpr_core.data.days import day_end_ms, day_start_ms
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ConfigError, LeakageError


@dataclass(frozen=True, slots=True)
class Window:
    """The time that a corpus covers.

    Attributes:
        start_ts: Epoch ms of the first request and event inside.
        cutoff_ts: Epoch ms; nothing that became known at or after it may be used.
    """

    start_ts: int
    cutoff_ts: int

    def __post_init__(self) -> None:
        """Check the order."""
        if self.start_ts >= self.cutoff_ts:
            raise ConfigError(
                f"a window from {self.start_ts} to {self.cutoff_ts} is empty",
                where="window",
                fix="use window_days >= 1",
            )

    @classmethod
    def ending(cls, day: date, window_days: int) -> "Window":
        """Give the window that ends with a day.

        Args:
            day: Last day inside.
            window_days: Days inside, at least 1.

        Returns:
            The window.

        Example:
            >>> Window.ending(date(1970, 1, 2), 1)
            Window(start_ts=86400000, cutoff_ts=172800000)
        """
        first = day - timedelta(days=window_days - 1)
        return cls(day_start_ms(first), day_end_ms(day))


def check_nothing_after(tables: Mapping[str, pa.Table], cutoff_ts: int) -> None:
    """Refuse lake rows that became known at or after the cutoff.

    Args:
        tables: Lake table name -> rows.
        cutoff_ts: Epoch ms, exclusive.

    Raises:
        LeakageError: If one row has a landing time at or after the cutoff.
    """
    for name, rows in tables.items():
        column = TABLES[name].landing_ts
        late = pc.sum(pc.greater_equal(rows[column], cutoff_ts)).as_py() or 0
        if late:
            latest = pc.max(rows[column]).as_py()
            raise LeakageError(
                f"{late} of {rows.num_rows} rows of {name} landed at or after the cutoff "
                f"{cutoff_ts}, the last at {latest}",
                where=f"{name}.{column}",
                fix="read only the partitions up to the training day",
            )


def with_valid_to(versions: ir.Table, key: str) -> ir.Table:
    """End every version at the start of the next one of the same key.

    Args:
        versions: Columns `key`, `valid_from` and `valid_to`, one row per key and start.
        key: Column of the key.

    Returns:
        The same columns; `valid_to` is null for the last version of a key.
    """
    by_key = ibis.window(group_by=key, order_by="valid_from")
    following = versions["valid_from"].lead().over(by_key)
    return versions.mutate(valid_to=ibis.least(following, versions["valid_to"]))


def as_of_join(
    left: ir.Table, right: ir.Table, *, key: str, ts: str, right_ts: str, columns: Sequence[str]
) -> ir.Table:
    """Join each row with the latest row of another table that is not from later.

    Written as a running maximum and two equality joins, which every engine can do on sorted
    partitions; a join on a range of times would compare all pairs of a key.

    Args:
        left: Columns `key` and `ts`, any number of rows of each.
        right: Columns `key`, `right_ts` and `columns`; one row per key and time.
        key: Column that both share.
        ts: Time of a left row.
        right_ts: From when a right row is valid.
        columns: What to take from the right; none may be a column of the left.

    Returns:
        The left rows with `columns`, null where nothing was valid yet.
    """
    wanted = left.select(key, at=left[ts]).distinct().mutate(start=ibis.null("int64"), side=1)
    starts = right.select(key, at=right[right_ts], start=right[right_ts].cast("int64"))
    both = wanted.union(starts.mutate(side=0).select(*wanted.columns))
    # A version that starts at the very time of the row is already valid: side 0 comes first.
    so_far = ibis.cumulative_window(group_by=key, order_by=["at", "side"])
    found = both.mutate(start=both["start"].max().over(so_far)).filter(ibis._.side == 1)
    found = found.select(key, "at", "start")
    values = right.select(key, *columns, start=right[right_ts].cast("int64"))
    valid = found.left_join(values, [key, "start"], rname="{name}_right")
    valid = valid.select(key, "at", *columns)
    joined = left.left_join(
        valid, [left[key] == valid[key], left[ts] == valid["at"]], rname="{name}_right"
    )
    return joined.select(*left.columns, *columns)
