from datetime import date

import pytest

from gpr_core.data.days import day_end_ms, day_of_ms, day_range, day_start_ms, parse_day
from gpr_core.support.errors import ConfigError

# 2026-01-01 is 56 years after the epoch, 14 of them leap years: 56 * 365 + 14 = 20454 days.
NEW_YEAR_MS = 20_454 * 86_400_000


def test_iso_text_is_a_day():
    assert parse_day("2026-01-31") == date(2026, 1, 31)


def test_other_text_is_refused():
    with pytest.raises(ConfigError, match=r"'31\.1\.2026' is not a day"):
        parse_day("31.1.2026")


def test_a_day_starts_at_midnight_utc():
    assert day_start_ms(date(2026, 1, 1)) == NEW_YEAR_MS


def test_the_end_of_a_day_is_the_start_of_the_next():
    assert day_end_ms(date(2026, 2, 28)) == day_start_ms(date(2026, 3, 1))


def test_first_and_last_millisecond_belong_to_the_day():
    assert day_of_ms(NEW_YEAR_MS) == date(2026, 1, 1)
    assert day_of_ms(NEW_YEAR_MS - 1) == date(2025, 12, 31)


def test_times_before_1970_have_a_day_too():
    assert day_of_ms(-1) == date(1969, 12, 31)


def test_a_range_holds_both_ends():
    assert day_range(date(2026, 2, 27), date(2026, 3, 1)) == [
        date(2026, 2, 27),
        date(2026, 2, 28),
        date(2026, 3, 1),
    ]


def test_a_backward_range_is_empty():
    assert day_range(date(2026, 1, 2), date(2026, 1, 1)) == []
