"""Tests of what may be known about a user, with a broken twin of the cut in time (T25)."""

import numpy as np

from gpr_core.data.tables import DAY_MS, Action, OrganicAction
from gpr_core.knowledge import views
from gpr_core.knowledge.template import TemplateProvider
from gpr_core.knowledge.views import History
from tests.gpr_core.knowledge.histories import (
    NO_CONSENT,
    acted,
    asked,
    make_history,
    timelines,
    user,
    viewed,
)
from tests.lake_rows import make_table

PAST = (
    user(1),
    viewed(1, 1.0, 3),
    acted(1, 1.5, Action.CLICK, 5, brand=9, price=4),
    asked(1, 4.2),
    user(2),
    viewed(2, 2.0, 3),
    viewed(2, 2.1, 7),
)
FUTURE = (
    viewed(1, 4.1, 11),
    acted(1, 1.7, Action.CONVERSION, 12, late_days=3.0),
    user(1, 4.01, consent=NO_CONSENT),
    viewed(2, 4.5, 3),
    viewed(2, 4.6, 12),
)


def test_a_view_holds_what_happened_and_was_known_before_its_time():
    view = make_history(*PAST, *FUTURE).view(1, 4 * DAY_MS)
    assert view.has_consent
    assert view.events.category_N.tolist() == [3, 5]
    assert view.events.brand_N.tolist() == [0, 9]
    assert view.events.price_N.tolist() == [0, 4]
    assert view.source_max_ts == int(1.5 * DAY_MS)


def sees_the_same(as_of_ts):
    """Compare what is said with and without all that comes later."""
    said = [
        TemplateProvider().generate(make_history(*rows).view(key, as_of_ts)).text
        for rows in (PAST, PAST + FUTURE)
        for key in (1, 2)
    ]
    return all(said[:2]) and said[:2] == said[2:]


def test_the_future_changes_no_thought():
    assert sees_the_same(4 * DAY_MS)


def test_the_check_finds_a_view_of_everything(monkeypatch):
    monkeypatch.setattr(views, "_is_before", lambda ts, _i, _a, first, last: ts[first:last] >= 0)
    assert not sees_the_same(4 * DAY_MS)


def test_the_check_finds_complements_of_everything(monkeypatch):
    honest = views._best_complements
    monkeypatch.setattr(views, "_best_complements", lambda pairs, _: honest(pairs, 1 << 60))
    assert not sees_the_same(4 * DAY_MS)


def test_without_consent_there_are_no_events():
    rows = [user(1), viewed(1, 1.0, 3), user(1, 2.5, consent=NO_CONSENT)]
    history = make_history(*rows)
    assert history.view(1, 2 * DAY_MS).events.ts_N.size == 1
    withdrawn = history.view(1, 3 * DAY_MS)
    assert not withdrawn.has_consent
    assert withdrawn.events.ts_N.size == 0
    assert not history.view(77, 3 * DAY_MS).has_consent


# The token that says so lies in a private session, not among the user's own.
WITHDRAWN = make_table(
    "users",
    {"user_key": 1, "valid_from": 5 * DAY_MS, "consent": 1},
    {"user_key": 1, "valid_from": 0, "consent": 1},
    {"user_key": 1, "valid_from": 2 * DAY_MS, "consent": 0},
    {"user_key": 2, "valid_from": 4 * DAY_MS, "consent": 0},
)
OWN_TOKENS = (user(1), viewed(1, 1.0, 3))


def consents(history):
    """Who consents at the starts of days 0 to 6."""
    return [history.view(1, day * DAY_MS).has_consent for day in range(7)]


def test_consent_is_that_of_the_profile_in_force():
    history = History(timelines(*OWN_TOKENS), WITHDRAWN)
    assert consents(history) == [True, True, False, False, False, True, True]
    assert history.view(1, 4 * DAY_MS).events.ts_N.size == 0
    assert history.users_with_consent().tolist() == [1]
    assert history.users_without_consent().tolist() == [2]


def test_the_check_finds_consent_that_is_read_from_tokens():
    assert consents(make_history(*OWN_TOKENS)) == [True] * 7


def test_without_profiles_nobody_consents():
    history = History(timelines(*OWN_TOKENS), WITHDRAWN.slice(0, 0))
    assert not any(consents(history))
    assert history.users_with_consent().size == history.users_without_consent().size == 0


def test_complements_are_common_neighbors_that_are_not_common_everywhere():
    # Category 1 stands next to 2 and 3 equally often; 3 stands next to everything.
    pairs = [(1, 2), (1, 3), (1, 2), (1, 3), *[(3, other) for other in range(20, 60)]]
    rows = [
        viewed(100 + number, place + 1, category)
        for number, pair in enumerate(pairs)
        for place, category in enumerate(pair)
    ]
    history = make_history(*rows)
    assert history.complements(9 * DAY_MS)[1] == (2, 3)
    assert history.complements(DAY_MS) == {}


def test_skipped_content_and_mere_impressions_make_no_pair():
    rows = [
        viewed(1, 1.0, 1),
        viewed(1, 1.1, 2, action=OrganicAction.SKIP),
        acted(1, 1.2, Action.IMPRESSION, 3),
        acted(1, 1.3, Action.HIDE, 4),
        acted(1, 1.4, Action.CLICK, 5),
    ]
    assert make_history(*rows).complements(2 * DAY_MS) == {1: (5,), 5: (1,)}


def test_request_days_are_listed_once_by_day():
    rows = [asked(2, 3.2), asked(2, 3.9), asked(1, 3.5), asked(1, 2.5), viewed(1, 1.0, 3)]
    users, days = make_history(*rows).request_days()
    assert users.tolist() == [1, 1, 2]
    assert (days // DAY_MS).tolist() == [2, 3, 3]
    assert days.dtype == np.int64
