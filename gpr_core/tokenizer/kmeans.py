"""Weighted k-means.

Greedy k-means++ on a sample chooses the start; Lloyd iterations run on growing samples and then on
all points, because the first ones only have to find out roughly where the centers belong. A code
without points moves to the worst represented point.

Equal points, weights and seeds give equal centers, with any number of threads.

Letters: M points, N points that wait for a code, R rows of a chunk, V codes, D width, E width with
a constant 1, K candidates.

Source: specification 2.1; k-means++ is that of Arthur and Vassilvitskii (2007) with the greedy
choice they mention; stages and the balanced assignment are own, decision 0013.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.support.matmul import one_torch_thread
from gpr_core.support.seeding import numpy_stream
from gpr_core.tokenizer.nearest import CHUNK_ROWS, Centers, Scratch, chunks_of, map_parts
from gpr_core.tokenizer.residual import Floats, residual_codes

Init = Literal["plus_plus", "random"]
Codes = npt.NDArray[np.int16]

_STAGES = ((64, 0.4), (256, 0.3))
"""Points per code of each sample, and its share of the iterations; all points get the rest."""
_SEEDING_POINTS, _SEEDING_POINTS_PER_CODE = 8192, 4
_SEEDING_TRIALS = 4
_FILLING_ROUNDS = 20


class Clustering(NamedTuple):
    """Centers, and where the points belong.

    Attributes:
        centers_VD: [V, D] float32.
        code_M: [M] int16, the nearest center of each point.
    """

    centers_VD: Floats
    code_M: Codes


def weighted_kmeans(
    x_MD: Floats,
    weight_M: Floats,
    num_codes: int,
    *,
    iterations: int,
    seed: int,
    threads: int,
    init: Init = "plus_plus",
    balanced: bool = False,
) -> Clustering:
    """Cluster weighted points.

    No code ends up without a point as long as float32 can tell a point from its center.

    Args:
        x_MD: [M, D] float32, M >= num_codes.
        weight_M: [M] float32 > 0; a center is the weighted mean of its points.
        num_codes: Number of centers V.
        iterations: Lloyd iterations, those on samples included.
        seed: Seed of this clustering.
        threads: Threads to use; they do not change the result.
        init: Greedy k-means++, or random points.
        balanced: Whether a center is moved by at most ceil(M / V) points, see `balanced_codes`.

    Returns:
        Centers and nearest codes.
    """
    start = _start_plus_plus if init == "plus_plus" else _start_random
    centers_VD = start(x_MD, weight_M, num_codes, numpy_stream(seed, init))
    order_M = numpy_stream(seed, "samples").permutation(len(x_MD))
    for num_points, steps in _stages(len(x_MD), num_codes, iterations):
        # Sorted, because reading rows in order is faster.
        rows = np.sort(order_M[:num_points]) if num_points < len(x_MD) else slice(None)
        some_MD, weight_of_some_M = x_MD[rows], weight_M[rows]
        former_M = None
        for _ in range(steps):
            assign = balanced_codes if balanced else _nearest_codes
            code_M = assign(some_MD, centers_VD, threads=threads)
            if former_M is not None and np.array_equal(code_M, former_M):
                break
            former_M = code_M
            centers_VD = _moved(some_MD, weight_of_some_M, code_M, centers_VD, threads)
    return _without_empty_codes(x_MD, centers_VD, threads)


def balanced_codes(x_MD: Floats, centers_VD: Floats, *, threads: int) -> Codes:
    """Assign points so that no code gets more than its share.

    Every waiting point asks for the nearest center that has room. Those that would lose most by
    their second choice are served first; the others ask again. Greedy, not optimal.

    Args:
        x_MD: [M, D] float32.
        centers_VD: [V, D] float32.
        threads: Threads to use; they do not change the result.

    Returns:
        [M] int16, each code at most ceil(M / V) times.

    Example:
        >>> points = np.array([[0.0], [0.1], [0.2], [9.0]], np.float32)
        >>> balanced_codes(points, np.array([[0.0], [5.0]], np.float32), threads=1).tolist()
        [0, 0, 1, 1]
    """
    room_V = np.full(len(centers_VD), -(-len(x_MD) // len(centers_VD)))
    code_M = np.empty(len(x_MD), dtype=np.int16)
    waiting_N = np.arange(len(x_MD))
    while waiting_N.size:
        open_V = np.flatnonzero(room_V)
        choice_N, loss_N = _choices(x_MD, waiting_N, centers_VD[open_V], threads)
        wish_N = open_V[choice_N]
        order_N = np.lexsort((-loss_N, wish_N))
        sorted_wish_N = wish_N[order_N]
        before_N = np.searchsorted(sorted_wish_N, sorted_wish_N, side="left")
        rank_N = np.arange(waiting_N.size) - before_N
        served = order_N[rank_N < room_V[sorted_wish_N]]
        code_M[waiting_N[served]] = wish_N[served]
        room_V -= np.bincount(wish_N[served], minlength=len(room_V))
        waiting_N = np.delete(waiting_N, served)
    return code_M


def _nearest_codes(x_MD: Floats, centers_VD: Floats, *, threads: int) -> Codes:
    """Nearest center of each point."""
    return residual_codes(x_MD, [centers_VD], threads=threads)[:, 0]


def _stages(num_points: int, num_codes: int, iterations: int) -> Iterator[tuple[int, int]]:
    """Number of points and of iterations of each stage."""
    left = iterations
    for points_per_code, share in _STAGES:
        steps = int(share * iterations)
        if points_per_code * num_codes < num_points:
            left -= steps
            yield points_per_code * num_codes, steps
    yield num_points, left


def _moved(
    x_MD: Floats, weight_M: Floats, code_M: Codes, centers_VD: Floats, threads: int
) -> Floats:
    """Weighted means of the points of each code; empty codes go to badly represented points."""
    sum_VE = _weighted_sums(x_MD, weight_M, code_M, len(centers_VD), threads)
    mass_V = sum_VE[:, -1]
    moved_VD = centers_VD.copy()
    used = np.flatnonzero(mass_V > 0)
    moved_VD[used] = sum_VE[used, :-1] / mass_V[used, None]
    empty = np.flatnonzero(mass_V == 0)
    worst = _worst_points(x_MD, Clustering(centers_VD, code_M), empty.size)
    moved_VD[empty[: worst.size]] = x_MD[worst]
    return moved_VD


def _weighted_sums(
    x_MD: Floats, weight_M: Floats, code_M: Codes, num_codes: int, threads: int
) -> npt.NDArray[np.float64]:
    """Sum of weight x (point, 1) over the points of each code."""
    width = x_MD.shape[1]

    def add_up(part: slice, _: Scratch) -> npt.NDArray[np.float64]:
        sum_VE = torch.zeros(num_codes, width + 1, dtype=torch.float64)
        # In float64 the mean of equal points is that point, and its error exactly zero.
        point_RE = np.empty((CHUNK_ROWS, width + 1))
        for chunk in chunks_of(part):
            weighted_RE = point_RE[: chunk.stop - chunk.start]
            weighted_RE[:, :-1], weighted_RE[:, -1] = x_MD[chunk], 1.0
            weighted_RE *= weight_M[chunk, None].astype(np.float64)
            code_R = torch.from_numpy(code_M[chunk].astype(np.int64))
            sum_VE.index_add_(0, code_R, torch.from_numpy(weighted_RE))
        return sum_VE.numpy()

    sum_VE = np.zeros((num_codes, width + 1))
    for part_sum_VE in map_parts(add_up, num_rows=len(x_MD), width=width, threads=threads):
        sum_VE += part_sum_VE
    return sum_VE


def _worst_points(x_MD: Floats, found: Clustering, count: int) -> npt.NDArray[np.intp]:
    """Up to `count` different points, worst represented first, none that is its own center."""
    if not count:
        return np.empty(0, dtype=np.intp)
    error_M = np.empty(len(x_MD), dtype=np.float32)
    for chunk in chunks_of(slice(0, len(x_MD))):
        error_M[chunk] = np.square(x_MD[chunk] - found.centers_VD[found.code_M[chunk]]).sum(1)
    # Equal points have equal errors and would only share a new center.
    _, distinct = np.unique(-error_M, return_index=True)
    worst = distinct[:count]
    return worst[error_M[worst] > 0]


def _without_empty_codes(x_MD: Floats, centers_VD: Floats, threads: int) -> Clustering:
    """Place codes without a point on badly represented points; lowers the error each time."""
    found = Clustering(centers_VD, _nearest_codes(x_MD, centers_VD, threads=threads))
    # Two rounds are usual. Bounded, because a point may be nearer to its center than the search
    # can tell, so that it does not take the new one.
    for _ in range(_FILLING_ROUNDS):
        empty = np.flatnonzero(np.bincount(found.code_M, minlength=len(centers_VD)) == 0)
        worst = _worst_points(x_MD, found, empty.size)
        if not worst.size:
            break
        centers_VD = found.centers_VD.copy()
        centers_VD[empty[: worst.size]] = x_MD[worst]
        found = Clustering(centers_VD, _nearest_codes(x_MD, centers_VD, threads=threads))
    return found


def _choices(
    x_MD: Floats, waiting_N: npt.NDArray[np.intp], centers_VD: Floats, threads: int
) -> tuple[npt.NDArray[np.intp], Floats]:
    """Nearest center of the waiting points, and how much worse the second nearest scores."""
    centers = Centers(centers_VD)
    choice_N = np.empty(waiting_N.size, dtype=np.intp)
    loss_N = np.empty(waiting_N.size, dtype=np.float32)

    def choose(part: slice, scratch: Scratch) -> None:
        for chunk in chunks_of(part):
            rows = scratch.load(x_MD[waiting_N[chunk]])
            choice_N[chunk] = code_R = scratch.search(centers, rows)
            best_R, second_R = np.full((2, rows), -np.inf, dtype=np.float32)
            for block in centers.blocks:
                scores_RV = scratch.score(block, rows)
                place_R = code_R - block.first
                here = np.flatnonzero((place_R >= 0) & (place_R < scores_RV.shape[1]))
                best_R[here] = scores_RV[here, place_R[here]]
                scores_RV[here, place_R[here]] = -np.inf
                second_R = np.maximum(second_R, scores_RV.max(1))
            loss_N[chunk] = best_R - second_R

    for _ in map_parts(choose, num_rows=waiting_N.size, width=x_MD.shape[1], threads=threads):
        pass
    return choice_N, loss_N


def _start_random(
    x_MD: Floats, weight_M: Floats, num_codes: int, stream: np.random.Generator
) -> Floats:
    """Choose different rows at random."""
    del weight_M
    return x_MD[np.sort(stream.choice(len(x_MD), num_codes, replace=False))]


def _start_plus_plus(
    x_MD: Floats, weight_M: Floats, num_codes: int, stream: np.random.Generator
) -> Floats:
    """Choose spread-out points: of a few far candidates each time the one that helps most."""
    num_points = min(len(x_MD), max(_SEEDING_POINTS, _SEEDING_POINTS_PER_CODE * num_codes))
    rows = np.sort(stream.choice(len(x_MD), num_points, replace=False))
    x_MD, mass_M = x_MD[rows], weight_M[rows].astype(np.float64)
    norm_M = np.square(x_MD, dtype=np.float64).sum(1)
    nearest_M = np.ones(num_points)
    chosen: list[int] = []
    for _ in range(num_codes):
        total_M = np.cumsum(mass_M * nearest_M)
        if not total_M[-1] > 0:
            total_M = np.cumsum(mass_M)
        draw_K = stream.random(_SEEDING_TRIALS) * total_M[-1]
        trial_K = np.minimum(np.searchsorted(total_M, draw_K, side="right"), num_points - 1)
        distance_KM = norm_M[trial_K, None] + norm_M - 2.0 * _products(x_MD[trial_K], x_MD)
        np.maximum(distance_KM, 0.0, out=distance_KM)
        if chosen:
            np.minimum(distance_KM, nearest_M, out=distance_KM)
        best = int(np.argmin((distance_KM * mass_M).sum(1)))
        nearest_M = distance_KM[best]
        chosen.append(int(trial_K[best]))
    return np.ascontiguousarray(x_MD[chosen])


def _products(x_KD: Floats, x_MD: Floats) -> Floats:
    """Inner products, in one thread: with more the order of adding up could be another."""
    with one_torch_thread():
        product_KM: Floats = (torch.from_numpy(x_KD) @ torch.from_numpy(x_MD).T).numpy()
    return product_KM
