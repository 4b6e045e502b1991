"""Finding near duplicates in cells, against the product of all pairs.

    python -m benchmarks.near_duplicates [ITEMS]

Three sets of items: drawn around cluster centers; those of the synthetic world's preset `year`; and
drawn evenly over the sphere, where little can be ruled out and cells help least. Both methods run
in turns in one process on the same vectors; with OMP_NUM_THREADS=1 the seconds of the processor
are comparable on a busy machine, too. Writes docs/benchmarks/near_duplicates.json.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.record import write_result
from gpr_core.data.near_duplicates import cluster_pairs, max_cosine_across, similar_pairs
from gpr_core.support.seeding import numpy_stream
from gpr_core.world.config import world_preset
from gpr_core.world.taxonomy import build_ads, build_content, observe

_WIDTH, _THRESHOLD, _SEED, _ROUNDS, _BLOCK_ROWS = 64, 0.97, 7, 3, 2048
_NUM_CLUSTERS, _FLOAT32_ROUNDING = 500, 1e-5
# Cosine to the own center about 0.86; every twentieth item is a copy of another one, moved a bit.
_SPREAD, _COPY_EVERY, _COPY_SPREAD = 0.6, 20, 0.1

Floats = npt.NDArray[np.float32]
Pairs = npt.NDArray[np.int64]


def unit_rows(x_ND: npt.NDArray[np.float64]) -> Floats:
    """Scale rows to length 1.

    Args:
        x_ND: [N, D] float64.

    Returns:
        [N, D] float32.
    """
    return np.asarray(x_ND / np.linalg.norm(x_ND, axis=1, keepdims=True), dtype=np.float32)


def drawn_items(num_items: int, num_clusters: int) -> Floats:
    """Draw vectors around centers, with near duplicates among them.

    Args:
        num_items: Number of vectors.
        num_clusters: Number of centers; 0 draws them evenly over the sphere.

    Returns:
        [num_items, 64] float32, rows of length 1.
    """
    draw = numpy_stream(_SEED, "near duplicates")
    x_ND = draw.normal(size=(num_items, _WIDTH)) / np.sqrt(_WIDTH)
    if num_clusters:
        center_CD = draw.normal(size=(num_clusters, _WIDTH)) / np.sqrt(_WIDTH)
        x_ND = center_CD[draw.integers(num_clusters, size=num_items)] + _SPREAD * x_ND
    copies = np.arange(0, num_items, _COPY_EVERY)
    noise = draw.normal(size=(copies.size, _WIDTH)) / np.sqrt(_WIDTH)
    x_ND[copies] = x_ND[draw.integers(num_items, size=copies.size)] + _COPY_SPREAD * noise
    return unit_rows(x_ND)


def world_items(num_items: int) -> Floats:
    """Observe the first items of the synthetic world, a third of them ads, centered.

    Args:
        num_items: Number of items.

    Returns:
        [num_items, 128] float32, rows of length 1.
    """
    config = world_preset("year")
    ads = build_ads(config, num_items // 3)
    content = build_content(config, num_items - num_items // 3)
    text_ND, image_ND = observe(
        config,
        np.concatenate([ads.latent_AD, content.latent_AD]),
        np.concatenate([ads.hash_A, content.hash_A]),
    )
    x_ND = np.concatenate([text_ND, image_ND], axis=1).astype(np.float64)
    return unit_rows(x_ND - x_ND.mean(axis=0))


def all_pairs(x_ND: Floats) -> Pairs:
    """Find the pairs with one product of everything, block by block.

    Args:
        x_ND: [N, D] float32, rows of length 1.

    Returns:
        [P, 2] int64, first < second, sorted.
    """
    found = []
    for row in range(0, len(x_ND), _BLOCK_ROWS):
        for column in range(row, len(x_ND), _BLOCK_ROWS):
            cosine = x_ND[row : row + _BLOCK_ROWS] @ x_ND[column : column + _BLOCK_ROWS].T
            # Several times as fast as `np.nonzero` of two axes: the rival gets the better one.
            hits = np.flatnonzero(cosine >= np.float32(_THRESHOLD))
            first, second = hits // cosine.shape[1], hits % cosine.shape[1]
            pairs = np.stack([first + row, second + column], axis=1)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def all_across(x_ND: Floats, group_N: npt.NDArray[np.int8]) -> float:
    """Find the largest cosine across groups with the product of all pairs.

    Args:
        x_ND: [N, D] float32, rows of length 1.
        group_N: [N] int8.

    Returns:
        The cosine.
    """
    best = -1.0
    for group in np.unique(group_N)[1:]:
        inside_MD, before_ND = x_ND[group_N == group], x_ND[group_N < group]
        for row in range(0, len(inside_MD), _BLOCK_ROWS):
            for column in range(0, len(before_ND), _BLOCK_ROWS):
                left_MD = inside_MD[row : row + _BLOCK_ROWS]
                best = max(
                    best, float((left_MD @ before_ND[column : column + _BLOCK_ROWS].T).max())
                )
    return best


def compare(ours: Callable[[], Any], theirs: Callable[[], Any]) -> tuple[dict[str, Any], Any, Any]:
    """Time two functions in turns.

    Args:
        ours: The blocked method.
        theirs: The product of all pairs.

    Returns:
        Median seconds by the clock and of the processor, ratios of the medians and the range of the
        ratios by round; then what the two returned.
    """
    found: list[Any] = [None, None]
    seconds = np.empty((_ROUNDS, 2, 2))
    for turn in range(_ROUNDS):
        for number, method in enumerate((ours, theirs)):
            started = np.array([time.perf_counter(), time.process_time()])
            found[number] = method()
            seconds[turn, number] = [time.perf_counter(), time.process_time()] - started
    numbers = {}
    for at, kind in enumerate(("clock", "processor")):
        cells_s, all_pairs_s = np.median(seconds[:, :, at], axis=0)
        ratios = seconds[:, 1, at] / seconds[:, 0, at]
        numbers[kind] = {
            "cells_s": round(cells_s, 3),
            "all_pairs_s": round(all_pairs_s, 3),
            "times_as_fast": round(all_pairs_s / cells_s, 2),
            "times_as_fast_by_round": [round(ratio, 2) for ratio in sorted(ratios)],
        }
    return numbers, found[0], found[1]


def clearly_different(ours: Pairs, theirs: Pairs, x_ND: Floats) -> int:
    """Count pairs that one method found alone and whose cosine is not a rounding from the bound.

    Args:
        ours: [P, 2] int64.
        theirs: [P, 2] int64.
        x_ND: [N, D] float32.

    Returns:
        Pairs; 0 if the methods agree. The product of all pairs decides in float32.
    """
    alone = {tuple(pair) for pair in ours.tolist()} ^ {tuple(pair) for pair in theirs.tolist()}
    pairs = np.array(sorted(alone), dtype=np.int64).reshape(-1, 2)
    left, right = x_ND[pairs].astype(np.float64).transpose(1, 0, 2)
    return int((np.abs((left * right).sum(axis=1) - _THRESHOLD) > _FLOAT32_ROUNDING).sum())


def measure(x_ND: Floats) -> dict[str, Any]:
    """Measure both functions on one set of items.

    Args:
        x_ND: [N, D] float32, rows of length 1.

    Returns:
        Times, ratios and how far the results differ.
    """
    pairs, ours, theirs = compare(lambda: similar_pairs(x_ND, _THRESHOLD), lambda: all_pairs(x_ND))
    # Clusters stay together, as after curation: a fifth of them is the other group.
    cluster_N, _ = cluster_pairs(ours, np.arange(len(x_ND)))
    group_N = (cluster_N % 5 == 0).astype(np.int8)
    across, our_best, their_best = compare(
        lambda: max_cosine_across(x_ND, group_N), lambda: all_across(x_ND, group_N)
    )
    return {
        "items": len(x_ND),
        "width": x_ND.shape[1],
        "similar_pairs": {
            **pairs,
            "pairs": len(ours),
            "clearly_different": clearly_different(ours, theirs, x_ND),
        },
        "max_cosine_across": {
            **across,
            "cosine": round(our_best, 4),
            "difference": abs(our_best - their_best),
        },
    }


if __name__ == "__main__":
    items = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    cases = {
        "clustered": measure(drawn_items(items, _NUM_CLUSTERS)),
        "world_year": measure(world_items(items)),
        "spread_evenly": measure(drawn_items(items, 0)),
    }
    settings = {"threshold": _THRESHOLD, "seed": _SEED, "rounds": _ROUNDS}
    path = write_result("near_duplicates", {**settings, "clusters": _NUM_CLUSTERS, **cases})
    print(path.read_text(encoding="utf-8"))  # noqa: T201 - a benchmark reports to a person
