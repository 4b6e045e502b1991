"""Calendar days in UTC and their epoch milliseconds."""

from datetime import UTC, date, datetime, timedelta

from gpr_core.data.tables import DAY_MS
from gpr_core.support.errors import ConfigError


def parse_day(text: str) -> date:
    """Parse a day.

    Args:
        text: ISO form, `2026-01-31`.

    Returns:
        The day.

    Raises:
        ConfigError: If the text is no ISO day.
    """
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"{text!r} is not a day", where="day", fix="write it as YYYY-MM-DD"
        ) from error


def day_start_ms(day: date) -> int:
    """Give the first millisecond of a UTC day.

    Args:
        day: The day.

    Returns:
        Epoch ms.

    Example:
        >>> day_start_ms(date(1970, 1, 2))
        86400000
    """
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def day_end_ms(day: date) -> int:
    """Give the first millisecond after a UTC day: the cutoff of training on that day.

    Args:
        day: The day.

    Returns:
        Epoch ms.
    """
    return day_start_ms(day) + DAY_MS


def day_of_ms(ts: int) -> date:
    """Give the UTC day of a timestamp.

    Args:
        ts: Epoch ms.

    Returns:
        The day.
    """
    return date(1970, 1, 1) + timedelta(days=ts // DAY_MS)


def day_range(first: date, last: date) -> list[date]:
    """List days, both ends included.

    Args:
        first: First day.
        last: Last day.

    Returns:
        All days from first to last; empty if last is before first.
    """
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
