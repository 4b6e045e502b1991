"""The data of the tokenizer's benchmarks, and how two contenders are compared."""

from itertools import repeat

import numpy as np
import pytest

from benchmarks import tokenizer_workload
from benchmarks.tokenizer_workload import _Pair, compare, make_vectors


def test_the_vectors_are_the_same_every_time_and_parts_differ():
    one, again, other = make_vectors(50), make_vectors(50), make_vectors(50, part=1)
    assert one.shape == (50, 64)
    assert one.dtype == np.float32
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()


def scripted(monkeypatch, seconds, busy):
    """Let runs take given seconds, and other processes be busy for a given share of each pair."""
    monkeypatch.setattr(
        tokenizer_workload, "_time_pair", lambda *_: _Pair(*next(seconds), next(busy))
    )
    monkeypatch.setattr(tokenizer_workload.time, "sleep", lambda _: None)
    return compare(lambda: None, lambda: None, threads=2, repeats=3)


def test_the_ratio_is_that_of_pairs_without_the_warm_up(monkeypatch):
    seconds = iter([(9.0, 1.0), (1.0, 2.0), (2.0, 3.0), (1.0, 4.0)])
    row = scripted(monkeypatch, seconds, repeat(0.0))
    assert row["ratio"] == {"median": 2.0, "min": 1.5, "max": 4.0}
    assert (row["ours_s"], row["baseline_s"], row["ratio_of_fastest"]) == (1.0, 3.0, 2.0)
    assert (row["clock"], row["pairs_thrown_away"]) == ("perf_counter", 0)


def test_pairs_on_a_busy_machine_do_not_count(monkeypatch):
    seconds = iter([(9.0, 1.0), (1.0, 50.0), (1.0, 2.0), (1.0, 50.0), (2.0, 3.0), (1.0, 4.0)])
    row = scripted(monkeypatch, seconds, iter([0.0, 0.5, 0.01, 0.06, 0.0, 0.04]))
    assert row["ratio"] == {"median": 2.0, "min": 1.5, "max": 4.0}
    assert (row["pairs"], row["pairs_thrown_away"]) == (3, 2)


def test_a_machine_that_is_never_quiet_gives_no_numbers(monkeypatch):
    with pytest.raises(RuntimeError, match="busy all the time"):
        scripted(monkeypatch, repeat((1.0, 2.0)), repeat(0.5))


def test_both_contenders_run_in_turn_and_own_work_is_not_that_of_others(monkeypatch):
    order = []

    def work(name):
        order.append(name)
        sum(range(3_000_000))

    row = compare(lambda: work("ours"), lambda: work("baseline"), threads=1, repeats=2)
    assert order == ["ours", "baseline"] * 3
    assert row["clock"] == "process_time"
    assert 0 < row["ours_s"] < 5
    assert 0 <= row["busy_elsewhere"]["min"] < 1
