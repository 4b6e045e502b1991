"""The nearest of some centers, for chunks of vectors.

Nearest means the largest score x c - |c|^2 / 2, which orders centers like the distance but needs
one matrix product.

How a matrix product rounds depends on its shape: libraries take other kernels for one row than for
many. So every product has the same number of rows, used or not, aligned memory and one thread.
Then the score of a vector depends on nothing but the vector and the centers.

Letters: M items, R rows of a chunk, V codes, D width, E width with a constant 1.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.support.matmul import fast_float32_matmul, one_torch_thread

CHUNK_ROWS = 1024
BLOCK_CODES = 1024
_PRODUCT_ROWS = 512
_FEWEST_PARTS, _MOST_CHUNKS = 8, 16

_Result = TypeVar("_Result")


class _Block(NamedTuple):
    """Consecutive centers that are scored at once.

    Attributes:
        first: Code of the first one.
        scoring_EV: [D + 1, V] float32 tensor; the constant 1 of a vector meets -|c|^2 / 2.
    """

    first: int
    scoring_EV: torch.Tensor


class Centers:
    """Centers, prepared for the search.

    Args:
        centers_VD: [V, D] float32.

    Attributes:
        blocks: All centers in the order of their codes, few enough at once for the cache.
        step_VE: [V, D + 1] float32; subtracting one leaves the constant 1 of a vector alone.
    """

    def __init__(self, centers_VD: npt.NDArray[np.float32]) -> None:
        half_norm_V = np.square(centers_VD, dtype=np.float64).sum(1) / 2
        scoring_VE = np.column_stack([centers_VD, -half_norm_V.astype(np.float32)])
        self.blocks = [
            _Block(first, torch.from_numpy(scoring_VE[first : first + BLOCK_CODES]).T)
            for first in range(0, len(centers_VD), BLOCK_CODES)
        ]
        self.step_VE = np.column_stack([centers_VD, np.zeros_like(centers_VD[:, :1])])


class Scratch:
    """The buffers of one thread; a search needs no other memory.

    Args:
        width: Width of the vectors D.

    Attributes:
        left_RE: [R, D + 1] float32; the vectors to be searched, then a column of ones.
    """

    def __init__(self, width: int) -> None:
        # Memory of torch is aligned to cache lines, which some kernels ask for.
        self._left = torch.ones(CHUNK_ROWS, width + 1)
        self.left_RE: npt.NDArray[np.float32] = self._left.numpy()
        self._chosen_RE = torch.empty(CHUNK_ROWS, width + 1).numpy()
        self._scores = torch.empty(CHUNK_ROWS * BLOCK_CODES)

    def load(self, x_RD: npt.NDArray[np.floating]) -> int:
        """Copy the vectors of a chunk.

        Args:
            x_RD: [rows <= R, D] floats; may be a part of a memory map.

        Returns:
            The number of rows.
        """
        self.left_RE[: len(x_RD), :-1] = x_RD
        return len(x_RD)

    def search(self, centers: Centers, rows: int) -> npt.NDArray[np.intp]:
        """Find the nearest center of each loaded vector.

        Args:
            centers: The centers.
            rows: How many vectors are loaded.

        Returns:
            [rows] intp, the lowest code where scores are equal.
        """
        first, *others = centers.blocks
        scores_RV = self.score(first, rows)
        code_R: npt.NDArray[np.intp] = scores_RV.argmax(axis=1)
        if not others:
            return code_R
        best_R = scores_RV[np.arange(rows), code_R]
        for block in others:
            scores_RV = self.score(block, rows)
            other_R = scores_RV.argmax(axis=1)
            score_R = scores_RV[np.arange(rows), other_R]
            better_R = score_R > best_R
            best_R[better_R] = score_R[better_R]
            code_R[better_R] = other_R[better_R] + block.first
        return code_R

    def subtract(self, centers: Centers, code_R: npt.NDArray[np.intp]) -> None:
        """Subtract a center from each loaded vector.

        Args:
            centers: The centers.
            code_R: [rows] intp, the codes to subtract.
        """
        chosen_RE = self._chosen_RE[: code_R.size]
        np.take(centers.step_VE, code_R, axis=0, out=chosen_RE, mode="clip")
        self.left_RE[: code_R.size] -= chosen_RE

    def score(self, block: _Block, rows: int) -> npt.NDArray[np.float32]:
        """Score loaded vectors against some centers.

        Args:
            block: The centers.
            rows: How many vectors are loaded.

        Returns:
            [rows, V] float32; overwritten by the next search.
        """
        num_codes = block.scoring_EV.shape[1]
        scores_RV = self._scores[: CHUNK_ROWS * num_codes].view(CHUNK_ROWS, num_codes)
        for begin in range(0, rows, _PRODUCT_ROWS):
            part = slice(begin, begin + _PRODUCT_ROWS)
            torch.mm(self._left[part], block.scoring_EV, out=scores_RV[part])
        found_RV: npt.NDArray[np.float32] = scores_RV.numpy()[:rows]
        return found_RV


def map_parts(
    work: Callable[[slice, Scratch], _Result],
    *,
    num_rows: int,
    width: int,
    threads: int | None = None,
) -> Iterator[_Result]:
    """Work on parts of the rows in parallel.

    The parts depend on the number of rows alone and their results come in order, so that adding
    them up does not depend on the number of threads. While the caller iterates, torch uses one
    thread per call and the fast products.

    Args:
        work: Called with consecutive rows and a scratch that no other thread uses.
        num_rows: Number of all rows.
        width: Width of the vectors D.
        threads: Threads to use; None takes as many as torch would.

    Yields:
        _Result: The result of each part.
    """
    threads = threads or torch.get_num_threads()
    # Large parts cost less, as long as there are some for every thread.
    num_chunks = int(np.clip(num_rows // (_FEWEST_PARTS * CHUNK_ROWS), 1, _MOST_CHUNKS))
    parts = list(_cut(slice(0, num_rows), num_chunks * CHUNK_ROWS))
    with fast_float32_matmul(), one_torch_thread():
        if threads == 1 or len(parts) < 2:
            scratch = Scratch(width)
            yield from (work(part, scratch) for part in parts)
        else:
            yield from _map_in_threads(work, parts, width, threads)


def chunks_of(part: slice) -> Iterator[slice]:
    """Cut the rows of a part into chunks, each of which fits into a scratch.

    Args:
        part: Consecutive rows.

    Returns:
        Consecutive slices.

    Example:
        >>> [(chunk.start, chunk.stop) for chunk in chunks_of(slice(2048, 3500))]
        [(2048, 3072), (3072, 3500)]
    """
    return _cut(part, CHUNK_ROWS)


def _cut(part: slice, rows: int) -> Iterator[slice]:
    """Cut rows into slices of equal size; the last one may be shorter."""
    starts = range(part.start, part.stop, rows)
    return (slice(begin, min(begin + rows, part.stop)) for begin in starts)


def _map_in_threads(
    work: Callable[[slice, Scratch], _Result], parts: list[slice], width: int, threads: int
) -> Iterator[_Result]:
    """Keep every thread busy, but no more results waiting than are needed for that."""
    free: SimpleQueue[Scratch] = SimpleQueue()
    for _ in range(threads):
        free.put(Scratch(width))

    def work_with_scratch(part: slice) -> _Result:
        scratch = free.get()
        try:
            return work(part, scratch)
        finally:
            free.put(scratch)

    # Each new thread has to be told; otherwise its first product starts OpenMP threads.
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        running: deque[Future[_Result]] = deque()
        for part in parts:
            running.append(pool.submit(work_with_scratch, part))
            if len(running) > 2 * threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
