"""The data of the tokenizer's benchmarks, and how two contenders are compared."""

import numpy as np

from benchmarks import tokenizer_workload
from benchmarks.tokenizer_workload import compare, make_vectors


def test_the_vectors_are_the_same_every_time_and_parts_differ():
    one, again, other = make_vectors(50), make_vectors(50), make_vectors(50, part=1)
    assert one.shape == (50, 64)
    assert one.dtype == np.float32
    assert one.tobytes() == again.tobytes()
    assert one.tobytes() != other.tobytes()


def test_the_ratio_is_that_of_pairs_without_the_warm_up(monkeypatch):
    # Seconds of ours and of the baseline in turn; the first pair is the warm-up.
    seconds = iter([9.0, 1.0, 1.0, 2.0, 2.0, 3.0, 1.0, 4.0])
    order = []
    monkeypatch.setattr(
        tokenizer_workload, "_seconds", lambda work, clock: (work(), next(seconds))[1]
    )
    row = compare(
        lambda: order.append("ours"), lambda: order.append("baseline"), threads=1, repeats=3
    )
    assert order == ["ours", "baseline"] * 4
    assert row["ratio"] == {"median": 2.0, "min": 1.5, "max": 4.0}
    assert (row["ours_s"], row["baseline_s"]) == (1.0, 3.0)
    assert row["clock"] == "process_time"
