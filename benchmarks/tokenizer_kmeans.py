"""Training of RQ-KMeans against faiss.Kmeans on all points: time and error.

    python -m benchmarks.tokenizer_kmeans

Three levels of 256 codes, 25 iterations a level. Writes docs/benchmarks/tokenizer_kmeans.json.

Letters: M vectors, D width.
"""

from collections.abc import Callable
from itertools import cycle
from typing import Any

import faiss
import numpy as np

from benchmarks.record import write_result
from benchmarks.tokenizer_workload import DATA, WIDTH, Floats, compare, make_vectors, spread
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import ItemSample
from gpr_core.tokenizer.residual import residual_pass
from gpr_core.tokenizer.rq_kmeans import RQKMeans

_NUM_VECTORS = 200_000
_CONFIG = TokenizationConfig(kind="rq_kmeans", num_levels=3, codebook_size=256)
_SEEDS = (0, 1, 2, 3, 4)


def train_ours(x_MD: Floats, *, seed: int, threads: int) -> list[Floats]:
    """Fit RQ-KMeans.

    Args:
        x_MD: [M, D] float32.
        seed: Seed of the fit.
        threads: Threads to use.

    Returns:
        [V, D] float32 codebook of each level.
    """
    sample = ItemSample(x_MD, np.ones(len(x_MD), dtype=np.float32))
    tokenizer = RQKMeans(_CONFIG)
    tokenizer.fit(sample, sample, seed=seed, threads=threads)
    return list(tokenizer.codebooks)


def train_with_faiss(x_MD: Floats, *, seed: int, threads: int) -> list[Floats]:
    """Fit faiss.Kmeans on all points of each level's residual.

    Args:
        x_MD: [M, D] float32.
        seed: Seed of the fit.
        threads: Threads to use.

    Returns:
        [V, D] float32 codebook of each level.
    """
    faiss.omp_set_num_threads(threads)
    left_MD = x_MD.copy()
    codebooks = []
    for level in range(_CONFIG.num_levels):
        clustering = faiss.Kmeans(
            WIDTH,
            _CONFIG.codebook_size,
            niter=_CONFIG.kmeans_iterations,
            seed=seed * _CONFIG.num_levels + level,
            min_points_per_centroid=1,
            max_points_per_centroid=10**9,
        )
        clustering.train(left_MD)
        code_M = clustering.index.search(left_MD, 1)[1][:, 0]
        left_MD -= clustering.centroids[code_M]
        codebooks.append(clustering.centroids)
    return codebooks


def measure(x_MD: Floats, *, threads: int) -> dict[str, Any]:
    """Compare time and error over the seeds.

    Args:
        x_MD: [M, D] float32.
        threads: Threads of both.

    Returns:
        Ratios of the times, and errors relative to the data's.
    """
    trained: dict[str, dict[int, list[Floats]]] = {"ours": {}, "faiss": {}}

    def trainer(name: str, train: Callable[..., list[Floats]]) -> Callable[[], None]:
        seeds = cycle(_SEEDS)

        def run() -> None:
            seed = next(seeds)
            trained[name][seed] = train(x_MD, seed=seed, threads=threads)

        return run

    row = compare(
        trainer("ours", train_ours),
        trainer("faiss", train_with_faiss),
        threads=threads,
        repeats=len(_SEEDS),
    )
    ours, theirs = (
        [relative_error(x_MD, codebooks) for _, codebooks in sorted(by_seed.items())]
        for by_seed in trained.values()
    )
    shares = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return {
        **row,
        "time_share_of_faiss": round(1 / row["ratio"]["median"], 3),
        "ours_error": spread(ours),
        "baseline_error": spread(theirs),
        "error_share_of_faiss": spread(shares),
    }


def relative_error(x_MD: Floats, codebooks: list[Floats]) -> float:
    """Squared error of the reconstruction, as a share of the squared norms.

    Args:
        x_MD: [M, D] float32.
        codebooks: Centers of each level.

    Returns:
        A number in [0, 1].
    """
    error_MD = x_MD - residual_pass(x_MD, codebooks).sum_MD
    return float(np.square(error_MD, dtype=np.float64).sum() / np.square(x_MD).sum())


if __name__ == "__main__":
    vectors = make_vectors(_NUM_VECTORS)
    result = {
        "seeds": list(_SEEDS),
        "data": f"{_NUM_VECTORS} vectors, {DATA}",
        "levels": _CONFIG.num_levels,
        "codebook_size": _CONFIG.codebook_size,
        "iterations": _CONFIG.kmeans_iterations,
        "targets": {"time_share_of_faiss": 0.85, "error_share_of_faiss": 1.0},
        "runs": [measure(vectors, threads=threads) for threads in (1, 2)],
    }
    print(write_result("tokenizer_kmeans", result))  # noqa: T201
