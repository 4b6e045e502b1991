"""T20: popularity counts only successes known before the request, never its own outcome."""

import numpy as np

from gpr_core.objectives.process_reward import count_successes, sort_successes

REQUEST_TS = 100
NUM_NODES = 4


def counts(count, *extra):
    """Count for one request of user 1, with extra (user, ingest_ts, nodes) successes."""
    events = [(1, 50, (1, 3)), *extra]
    successes = sort_successes(
        np.array([e[0] for e in events]),
        np.array([e[1] for e in events]),
        np.array([e[2] for e in events]),
    )
    return count(successes, np.array([1]), np.array([REQUEST_TS]), NUM_NODES).tolist()


def check_as_of(count):
    """Successes at or after the request, and those of others, change nothing."""
    before = counts(count)
    assert before == [[1, 1, 0, 1]]
    assert counts(count, (1, REQUEST_TS, (2, -1))) == before
    assert counts(count, (1, REQUEST_TS + 1, (2, -1))) == before
    assert counts(count, (2, 10, (2, -1))) == before
    assert counts(count, (1, REQUEST_TS - 1, (2, -1))) != before


def test_popularity_is_as_of_the_request():
    check_as_of(count_successes)


def test_twin_that_counts_the_whole_log_is_caught():
    def whole_log(successes, user_key, ts, num_nodes):
        return count_successes(successes, user_key, np.full_like(ts, 10**15), num_nodes)

    try:
        check_as_of(whole_log)
    except AssertionError:
        return
    raise AssertionError("the check does not notice successes from the future")
