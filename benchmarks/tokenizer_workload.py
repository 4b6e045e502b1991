"""What the benchmarks of the tokenizer share: data, timing of two contenders, the speed limit.

Letters: M vectors, D width.
"""

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.support.matmul import fast_float32_matmul, one_torch_thread
from gpr_core.support.seeding import numpy_stream

Floats = npt.NDArray[np.float32]
SEED, WIDTH, NUM_CLUSTERS, NOISE = 0, 64, 3000, 0.35
DATA = f"{NUM_CLUSTERS} zipf-weighted gaussian clusters, sigma {NOISE}, width {WIDTH}, float32"


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

    Args:
        ours: Our implementation.
        baseline: The other one, on the same work.
        threads: Threads that both use. With one the processor time is taken, which neighbors
            hardly change; with more the wall time, because waiting threads burn processor time.
        repeats: How many pairs.

    Returns:
        Median seconds of both, and median, min and max of the ratio baseline / ours of the pairs.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    load = os.getloadavg()[0]
    pairs = [[_seconds(work, clock) for work in (ours, baseline)] for _ in range(repeats + 1)][1:]
    ratios = [theirs_s / ours_s for ours_s, theirs_s in pairs]
    return {
        "threads": threads,
        "clock": clock.__name__,
        "repeats": repeats,
        "load_before": round(load, 2),
        "ours_s": statistics.median(ours_s for ours_s, _ in pairs),
        "baseline_s": statistics.median(theirs_s for _, theirs_s in pairs),
        "ratio": spread(ratios),
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


def _seconds(work: Callable[[], object], clock: Callable[[], float]) -> float:
    """Time one run."""
    started = clock()
    work()
    return clock() - started
