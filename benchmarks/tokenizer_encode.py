"""Residual encoding against faiss: exact search per level, and faiss' own residual quantizer.

    python -m benchmarks.tokenizer_encode

Three levels of 256, 1024 and 8192 codes. The exact baseline searches `IndexFlatL2` for one
neighbor and subtracts it, level by level. Writes docs/benchmarks/tokenizer_encode.json.

Letters: M vectors, L levels, V codes, D width.
"""

from collections.abc import Sequence
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt
import torch

from benchmarks.record import write_result
from benchmarks.tokenizer_workload import (
    DATA,
    SEED,
    WIDTH,
    Floats,
    compare,
    float32_limit_gflops,
    make_vectors,
)
from gpr_core.tokenizer.kmeans import weighted_kmeans
from gpr_core.tokenizer.residual import residual_codes

_NUM_VECTORS = 200_000
_SIZES = (256, 1024, 8192)
_LEVELS = 3
_CHECKED = 10_000
_REPEATS = {256: 15, 1024: 9, 8192: 7}
_ENCODED = {256: 200_000, 1024: 200_000, 8192: 50_000}


def make_codebooks(x_MD: Floats, num_codes: int) -> list[Floats]:
    """Cluster the residuals of every level, only roughly: any codebooks cost the same.

    Args:
        x_MD: [M, D] float32.
        num_codes: Codes V of each level.

    Returns:
        [V, D] float32 per level.
    """
    left_MD = x_MD.copy()
    codebooks = []
    for level in range(_LEVELS):
        found = weighted_kmeans(
            left_MD,
            np.ones(len(x_MD), np.float32),
            num_codes,
            iterations=4,
            seed=SEED + level,
            threads=torch.get_num_threads(),
            init="random",
        )
        left_MD -= found.centers_VD[found.code_M]
        codebooks.append(found.centers_VD)
    return codebooks


def search_with_faiss(
    x_MD: Floats, indexes: Sequence[faiss.IndexFlatL2], codebooks: Sequence[Floats]
) -> npt.NDArray[np.int64]:
    """Encode by exact search.

    Args:
        x_MD: [M, D] float32.
        indexes: One per level, holding its centers.
        codebooks: The centers.

    Returns:
        [M, L] int64.
    """
    left_MD = x_MD.copy()
    columns = []
    for index, centers_VD in zip(indexes, codebooks, strict=True):
        code_M = index.search(left_MD, 1)[1][:, 0]
        left_MD -= centers_VD[code_M]
        columns.append(code_M)
    return np.stack(columns, axis=1)


def compare_with_brute_force(x_MD: Floats, codebooks: Sequence[Floats]) -> dict[str, Any]:
    """Count codes that are not those of a search in float64.

    Args:
        x_MD: [M, D] float32.
        codebooks: Centers of each level.

    Returns:
        Number of codes, how many differ, and the largest squared distance that one gives away,
        relative to the mean squared norm of the vectors.
    """
    code_ML = residual_codes(x_MD, codebooks)
    left_MD = x_MD
    different, given_away = 0, 0.0
    for code_M, centers_VD in zip(code_ML.T, codebooks, strict=True):
        exact_VD = centers_VD.astype(np.float64)
        score_MV = left_MD @ exact_VD.T - np.square(exact_VD).sum(1) / 2
        lost_M = score_MV.max(1) - score_MV[np.arange(len(x_MD)), code_M]
        different += int((score_MV.argmax(1) != code_M).sum())
        # Distances are squared, scores half of that.
        given_away = max(given_away, float(2 * lost_M.max()))
        left_MD = left_MD - centers_VD[code_M]
    mean_square = float(np.square(x_MD, dtype=np.float64).sum(1).mean())
    return {
        "codes": code_ML.size,
        "different": different,
        "largest_relative_loss": given_away / mean_square,
    }


def measure(x_MD: Floats, num_codes: int) -> dict[str, Any]:
    """Compare with the exact search at one codebook size.

    Args:
        x_MD: [M, D] float32; all are clustered, some are encoded.
        num_codes: Codes V of each level.

    Returns:
        Speeds and ratios for one and two threads, shares of the float32 limit and the ratio that
        reaching it would give, equality of codes.
    """
    codebooks = make_codebooks(x_MD, num_codes)
    x_MD = x_MD[: _ENCODED[num_codes]]
    indexes = [faiss.IndexFlatL2(WIDTH) for _ in codebooks]
    for index, centers_VD in zip(indexes, codebooks, strict=True):
        index.add(centers_VD)
    limit = float32_limit_gflops()
    gigaflop = 2e-9 * len(x_MD) * _LEVELS * num_codes * WIDTH
    runs = []
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        run = compare(
            lambda threads=threads: residual_codes(x_MD, codebooks, threads=threads),
            lambda: search_with_faiss(x_MD, indexes, codebooks),
            threads=threads,
            repeats=_REPEATS[num_codes],
        )
        for name in ("ours", "baseline"):
            seconds = run.pop(f"{name}_s")
            run[f"{name}_kvec_s"] = round(len(x_MD) / seconds / 1e3, 1)
            run[f"{name}_share_of_limit"] = round(gigaflop / seconds / limit / threads, 3)
        run["ratio_at_limit"] = round(1 / run["baseline_share_of_limit"], 3)
        runs.append(run)
    same_M = (search_with_faiss(x_MD, indexes, codebooks) == residual_codes(x_MD, codebooks)).all(1)
    return {
        "codebook_size": num_codes,
        "vectors": len(x_MD),
        "runs": runs,
        "limit_gflops_per_core": limit,
        "vectors_with_other_codes_than_faiss": int((~same_M).sum()),
        "brute_force": compare_with_brute_force(x_MD[:_CHECKED], codebooks),
    }


def measure_residual_quantizer(x_MD: Floats) -> dict[str, Any]:
    """Compare with faiss.ResidualQuantizer as it comes, a beam search, at 256 codes.

    Args:
        x_MD: [M, D] float32.

    Returns:
        Speeds and ratios for one and two threads.
    """
    quantizer = faiss.ResidualQuantizer(WIDTH, _LEVELS, 8)
    quantizer.train(x_MD[:20_000])
    codebooks = make_codebooks(x_MD, 256)
    runs = []
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        run = compare(
            lambda threads=threads: residual_codes(x_MD, codebooks, threads=threads),
            lambda: quantizer.compute_codes(x_MD),
            threads=threads,
            repeats=5,
        )
        for name in ("ours", "baseline"):
            run[f"{name}_kvec_s"] = round(len(x_MD) / run.pop(f"{name}_s") / 1e3, 1)
        runs.append(run)
    return {
        "codebook_size": 256,
        "vectors": len(x_MD),
        "beam": quantizer.max_beam_size,
        "runs": runs,
    }


if __name__ == "__main__":
    vectors = make_vectors(_NUM_VECTORS)
    result = {
        "seeds": [SEED],
        "data": DATA,
        "levels": _LEVELS,
        "targets": {"flat": 2.0, "residual_quantizer": 15.0},
        "flat": [measure(vectors, num_codes) for num_codes in _SIZES],
        "residual_quantizer": measure_residual_quantizer(vectors[:50_000]),
    }
    print(write_result("tokenizer_encode", result))  # noqa: T201
