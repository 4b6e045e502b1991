"""Tests of thoughts made in one go."""

import numpy as np
import pytest

from gpr_core.data.tables import DAY_MS
from gpr_core.knowledge.cache import ThoughtCache
from gpr_core.knowledge.production import make_thoughts, wanted_thoughts
from gpr_core.knowledge.template import TemplateProvider
from gpr_core.knowledge.views import History
from tests.gpr_core.knowledge.histories import asked, timelines, user, viewed
from tests.lake_rows import make_table

# User 3 has withdrawn consent; 99 is the key of a private session, not of a user.
TIMELINES = timelines(
    user(1), viewed(1, 1.0, 3), asked(1, 2.5), asked(1, 2.6), asked(1, 4.5),
    user(2), viewed(2, 1.0, 4), asked(2, 2.5),
    user(3), viewed(3, 1.0, 5), asked(3, 2.5),
    user(99), asked(99, 2.5),
)  # fmt: skip
USERS = make_table(
    "users",
    *[{"user_key": key, "valid_from": 0, "consent": 1} for key in (1, 2, 3)],
    {"user_key": 3, "valid_from": 3 * DAY_MS, "consent": 0},
)
HISTORY = History(TIMELINES, USERS)


def listed(wanted):
    """(user, day) of what is wanted."""
    days = (wanted.as_of_ts_N // DAY_MS).tolist()
    return list(zip(wanted.user_key_N.tolist(), days, strict=True))


def test_requests_of_consenting_users_are_wanted_once_a_day():
    assert listed(wanted_thoughts(HISTORY, from_ts=0)) == [(1, 2), (2, 2), (1, 4)]
    assert listed(wanted_thoughts(HISTORY, from_ts=4 * DAY_MS)) == [(1, 4)]


def test_everyone_is_wanted_where_requests_may_be_rehearsed():
    wanted = wanted_thoughts(HISTORY, from_ts=4 * DAY_MS, also_on=4 * DAY_MS)
    assert listed(wanted) == [(1, 4), (2, 4)]


@pytest.mark.parametrize("between", [1, 2, 200])
def test_a_cache_is_kept_on_the_way(monkeypatch, between):
    monkeypatch.setattr("gpr_core.knowledge.production._PAIRS_BETWEEN_KEEPS", between)
    wanted, kept = wanted_thoughts(HISTORY, from_ts=0), []
    cache = ThoughtCache()
    table = make_thoughts(HISTORY, wanted, TemplateProvider(), cache, keep=kept.append)
    assert len(kept) == int(np.ceil(3 / between))
    assert table["user_key"].to_pylist() == [1, 1, 2]
    assert table.equals(make_thoughts(HISTORY, wanted, TemplateProvider(), ThoughtCache()))


def test_nobody_to_think_about_gives_an_empty_table():
    wanted = wanted_thoughts(HISTORY, from_ts=9 * DAY_MS)
    assert make_thoughts(HISTORY, wanted, TemplateProvider(), ThoughtCache()).num_rows == 0
