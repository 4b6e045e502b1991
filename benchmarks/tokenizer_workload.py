"""What the benchmarks of the tokenizer share: data, timing of two contenders, the speed limit.

Letters: M vectors, D width.
"""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.support.matmul import fast_float32_matmul, one_torch_thread
from gpr_core.support.seeding import numpy_stream

_QUIET = 0.05
"""Share of the machine that other processes may use while wall time is measured."""
_MOST_THROWN_AWAY = 400

Floats = npt.NDArray[np.float32]
SEED, WIDTH, NUM_CLUSTERS, NOISE = 0, 64, 3000, 0.35
DATA = f"{NUM_CLUSTERS} zipf-weighted gaussian clusters, sigma {NOISE}, width {WIDTH}, float32"


class _Pair(NamedTuple):
    """Seconds of both contenders, and the share of the machine that others used meanwhile."""

    ours_s: float
    baseline_s: float
    busy_elsewhere: float


def make_vectors(num_vectors: int, *, part: int = 0) -> Floats:
    """Draw vectors in clusters of very uneven size.

    Args:
        num_vectors: How many, M.
        part: Another part of the same endless data set.

    Returns:
        [M, D] float32.
    """
    center_VD = numpy_stream(SEED, "benchmark", "centers").normal(size=(NUM_CLUSTERS, WIDTH))
    stream = numpy_stream(SEED, "benchmark", "vectors", part)
    share_V = 1 / np.arange(1, NUM_CLUSTERS + 1)
    cluster_M = stream.choice(NUM_CLUSTERS, num_vectors, p=share_V / share_V.sum())
    noise_MD = stream.standard_normal((num_vectors, WIDTH), dtype=np.float32)
    return center_VD.astype(np.float32)[cluster_M] + np.float32(NOISE) * noise_MD


def compare(
    ours: Callable[[], object], baseline: Callable[[], object], *, threads: int, repeats: int
) -> dict[str, Any]:
    """Time two contenders in turn, after one run of each that does not count.

    With one thread the processor time is taken, which neighbors hardly change. With more it is the
    wall time, because waiting threads burn processor time; pairs during which other processes
    were busy are thrown away and repeated.

    Args:
        ours: Our implementation.
        baseline: The other one, on the same work.
        threads: Threads that both use.
        repeats: How many pairs.

    Returns:
        Median seconds of both, median, min and max of the ratio baseline / ours of the pairs, and
        the ratio of the fastest runs: OpenMP threads sometimes get into each other's way for
        whole runs, which the fastest one did not meet.

    Raises:
        RuntimeError: If the machine was never quiet.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    _time_pair(ours, baseline, clock)
    pairs: list[_Pair] = []
    thrown_away = 0
    while len(pairs) < repeats and thrown_away < _MOST_THROWN_AWAY:
        pair = _time_pair(ours, baseline, clock)
        if threads == 1 or pair.busy_elsewhere < _QUIET:
            pairs.append(pair)
        else:
            thrown_away += 1
            time.sleep(1)
    if not pairs:
        raise RuntimeError("other processes were busy all the time; wait until they are done")
    return {
        "threads": threads,
        "clock": clock.__name__,
        "pairs": len(pairs),
        "pairs_thrown_away": thrown_away,
        "busy_elsewhere": spread([pair.busy_elsewhere for pair in pairs]),
        "ours_s": statistics.median(pair.ours_s for pair in pairs),
        "baseline_s": statistics.median(pair.baseline_s for pair in pairs),
        "ratio": spread([pair.baseline_s / pair.ours_s for pair in pairs]),
        "ratio_of_fastest": round(
            min(pair.baseline_s for pair in pairs) / min(pair.ours_s for pair in pairs), 3
        ),
    }


def spread(values: list[float]) -> dict[str, float]:
    """Summarize repeated measurements.

    Args:
        values: The measurements.

    Returns:
        median, min and max.
    """
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def float32_limit_gflops() -> float:
    """Measure how fast one core multiplies float32 matrices that suit it best.

    Returns:
        Best of several products by either library, in 1e9 floating-point operations a second.
    """
    left_MD, right_MD = torch.ones(2048, 512), torch.ones(1024, 512)
    operations = 2 * left_MD.numel() * len(right_MD)
    with one_torch_thread():
        by_mkl = [_seconds(lambda: left_MD @ right_MD.T, time.process_time) for _ in range(30)]
        with fast_float32_matmul():
            by_onednn = [
                _seconds(lambda: left_MD @ right_MD.T, time.process_time) for _ in range(30)
            ]
    return round(operations / min(by_mkl + by_onednn) / 1e9, 1)


def _time_pair(
    ours: Callable[[], object], baseline: Callable[[], object], clock: Callable[[], float]
) -> _Pair:
    """Time one run of each, and measure how busy other processes were meanwhile."""
    started, everyone_s, mine_s = time.perf_counter(), _busy_s(), time.process_time()
    ours_s, baseline_s = _seconds(ours, clock), _seconds(baseline, clock)
    elsewhere_s = (_busy_s() - everyone_s) - (time.process_time() - mine_s)
    capacity_s = (time.perf_counter() - started) * (os.cpu_count() or 1)
    return _Pair(ours_s, baseline_s, max(0.0, elsewhere_s / capacity_s))


def _busy_s() -> float:
    """Read how long the processors of the machine have worked, or were taken from it."""
    fields = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:]
    user, nice, system, _, _, irq, softirq, steal = (int(field) for field in fields[:8])
    ticks = user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK")


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Time one run."""
    started = clock()
    work()
    return clock() - started
