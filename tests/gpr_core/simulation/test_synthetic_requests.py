import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.decisions import DECISIONS_SCHEMA
from gpr_core.data.tables import DAY_MS, HOUR_MS, TokenKind
from gpr_core.simulation.synthetic_requests import (
    REQUEST_COLUMNS,
    rehearsal_schedule,
    rehearse,
)
from tests.gpr_core.simulation.small_corpus import CUTOFF, cast, make_corpus

NOW = 40_000 * DAY_MS


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), num_users=12, per_day=2)


def make_decisions(requests):
    """Make decisions of (user, ts) pairs."""
    columns = {field.name: np.zeros(len(requests), np.int64) for field in DECISIONS_SCHEMA}
    columns |= {
        "request_key": np.arange(1, len(requests) + 1),
        "user_key": np.array([user for user, _ in requests]),
        "ts": np.array([ts for _, ts in requests]),
        "is_hide": np.zeros(len(requests), bool),
        "is_synthetic": np.zeros(len(requests), bool),
    }
    return cast(columns, DECISIONS_SCHEMA)


def test_high_activity_is_rehearsed_every_two_hours_at_peak():
    requests = [(user, NOW - HOUR_MS * k) for user, n in ((1, 28), (2, 28), (3, 14), (4, 1), (5, 1))
                for k in range(1, n + 1)]  # fmt: skip
    schedule = rehearsal_schedule(make_decisions(requests), NOW)
    assert schedule.user_key_U.tolist() == [1, 2, 3, 4, 5]
    assert schedule.is_high_U.tolist() == [True, True, False, False, False]
    # High: 8 h / 2 h + 16 h / 4 h. Half the rate: intervals 4 h and 8 h. A 28th: clipped at 48 h.
    expected = [8.0, 8.0, 4.0, 24 / 48, 24 / 48]
    np.testing.assert_allclose(schedule.per_day_U, expected)


def test_old_and_future_requests_do_not_make_a_user_active():
    requests = [(1, NOW - DAY_MS), (2, NOW - 29 * DAY_MS), (3, NOW), (3, NOW + 5)]
    assert rehearsal_schedule(make_decisions(requests), NOW).user_key_U.tolist() == [1]


def test_rehearsed_requests_are_the_present_of_their_users(corpus):
    requests, tokens = rehearse(
        corpus.decisions, corpus.timelines, count=5, now_ts=CUTOFF - 1, seed=0
    )
    assert requests.num_rows == tokens.num_rows == 5
    assert tuple(requests.column_names) == REQUEST_COLUMNS
    assert set(requests["is_synthetic"].to_pylist()) == {True}
    assert set(requests["ts"].to_pylist()) == {CUTOFF - 1}
    assert len(set(requests["user_key"].to_pylist())) == 5
    assert not set(requests["request_key"].to_pylist()) & set(
        corpus.decisions["request_key"].to_pylist()
    )
    assert set(tokens["kind"].to_pylist()) == {int(TokenKind.ENVIRONMENT)}
    assert sorted(tokens["request_key"].to_pylist()) == sorted(requests["request_key"].to_pylist())
    # Hour 23 is stored as 24.
    assert set(tokens["f6"].to_pylist()) == {24}


def test_nothing_later_is_looked_at(corpus):
    now = CUTOFF - 2 * DAY_MS
    before = corpus.decisions.filter(pa.array(corpus.decisions["ts"].to_numpy() < now))
    early = corpus.timelines.filter(pa.array(corpus.timelines["ts"].to_numpy() < now))
    found = rehearse(corpus.decisions, corpus.timelines, count=4, now_ts=now, seed=0)
    same = rehearse(before, early, count=4, now_ts=now, seed=0)
    assert found[0].equals(same[0])
    assert found[1].equals(same[1])


def test_private_sessions_are_not_followed(corpus):
    """A user whose latest E token belongs to another sequence is never rehearsed."""
    user = 3
    rows = corpus.timelines["user_key"].to_numpy().copy()
    rows[rows == user] = 999_999
    timelines = corpus.timelines.set_column(0, "user_key", pa.array(rows))
    requests, _ = rehearse(corpus.decisions, timelines, count=99, now_ts=CUTOFF - 1, seed=0)
    assert requests.num_rows == 11
    assert user not in requests["user_key"].to_pylist()


def test_no_active_user_gives_no_request(corpus):
    requests, tokens = rehearse(
        corpus.decisions.slice(0, 0), corpus.timelines, count=4, now_ts=CUTOFF, seed=0
    )
    assert (requests.num_rows, tokens.num_rows) == (0, 0)
