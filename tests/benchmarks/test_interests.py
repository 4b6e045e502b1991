"""Tests of the study of interests: how measured requests become a table."""

import numpy as np
import pytest

from benchmarks.interests import COMPARED, KS, show, summarize

ROWS = sorted({row for pair in COMPARED for row in pair})


def study(more=0.0, keys=(0, 0)):
    """Two worlds of ten users; four heads cover more by a constant, in every first request."""
    users = {seed: key + np.repeat(np.arange(10), 2) for seed, key in enumerate(keys)}
    several = {seed: np.tile([True, False], 10) for seed in users}

    def measured(row):
        gain = more if "4 heads" in row else 0.0
        columns = {f"coverage@{k}": np.tile([0.25 + gain, 0.5], 10).tolist() for k in KS}
        return columns | {f"HR@{k}": np.zeros(20).tolist() for k in KS}

    return summarize({seed: {row: measured(row) for row in ROWS} for seed in users}, users, several)


def test_coverage_of_several_interests_counts_only_users_with_several():
    row = study()["rows"]["hstu, 1 head"]
    assert row["coverage@10"]["mean"] == pytest.approx(0.375)
    assert row["coverage@10 of several interests"]["mean"] == pytest.approx(0.25)
    assert study()["several_interests"] == 0.5


def test_a_row_is_above_another_only_if_the_interval_is_above_zero():
    text = "daily, 4 heads above daily, 1 head, coverage@10"
    assert study(more=0.25)["differences"][text]["is_above"]
    assert study(more=0.25)["differences"][text]["mean"] == pytest.approx(0.125)
    assert not study()["differences"][text]["is_above"]


def test_all_differences_and_rows_are_shown():
    lines = show(study()).splitlines()
    assert len(lines) == 1 + len(ROWS) + len(COMPARED) * 3 * len(KS)
    assert all(any(line.startswith(row) for line in lines) for row in ROWS)
