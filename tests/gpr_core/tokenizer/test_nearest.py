"""Chunks of a search: blocks of centers, order of results, threads."""

import threading
import time

import numpy as np
import pytest
import torch

from gpr_core.tokenizer import nearest
from gpr_core.tokenizer.nearest import Centers, Scratch, chunks_of, map_parts

CENTERS = np.array([[0, 0], [4, 0], [0, 4], [4, 4], [9, 9]], np.float32)


def loaded(x):
    scratch = Scratch(2)
    return scratch, scratch.load(np.array(x, np.float32))


def test_the_score_is_half_the_square_minus_half_the_distance():
    scratch, rows = loaded([[1, 2], [5, 0]])
    scores = scratch.score(Centers(CENTERS).blocks[0], rows)
    # x c - |c|^2 / 2 by hand.
    assert scores.tolist() == [[0, -4, 0, -4, -54], [0, 12, -8, 4, -36]]


@pytest.mark.parametrize("block_codes", [1, 2, 3, 5])
def test_blocks_of_centers_do_not_change_the_codes(monkeypatch, block_codes):
    monkeypatch.setattr(nearest, "BLOCK_CODES", block_codes)
    # The last two are as near to one center as to another of another block: the lower code wins.
    scratch, rows = loaded([[5, 1], [8, 8], [-1, 9], [2, 0], [0, 2]])
    assert scratch.search(Centers(CENTERS), rows).tolist() == [1, 4, 2, 0, 0]


def test_subtracting_leaves_the_rest_for_the_next_level():
    scratch, rows = loaded([[5, 1], [8, 8]])
    scratch.subtract(Centers(CENTERS), np.array([1, 4]))
    assert scratch.left_RE[:rows].tolist() == [[1, 1, 1], [-1, -1, 1]]
    assert scratch.search(Centers(CENTERS), rows).tolist() == [0, 0]


def small_parts(monkeypatch):
    """One row per chunk and part."""
    monkeypatch.setattr(nearest, "CHUNK_ROWS", 1)
    monkeypatch.setattr(nearest, "_MOST_CHUNKS", 1)


def test_parts_depend_on_the_number_of_rows_alone():
    def sizes(num_rows, threads):
        parts = map_parts(
            lambda part, _: part.stop - part.start, num_rows=num_rows, width=2, threads=threads
        )
        return list(parts)

    for threads in (1, 3):
        assert sizes(0, threads) == []
        assert sizes(1500, threads) == [1024, 476]
        assert sizes(16 * 1024, threads) == [2048] * 8
        assert sizes(40 * 16_384 + 1, threads) == [16_384] * 40 + [1]


def test_chunks_cover_a_part():
    assert list(chunks_of(slice(1024, 3000))) == [slice(1024, 2048), slice(2048, 3000)]
    assert list(chunks_of(slice(0, 0))) == []


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_the_rows(monkeypatch, threads):
    small_parts(monkeypatch)

    def work(part, scratch):
        time.sleep(0.02 if part.start == 0 else 0)
        return part.start

    assert list(map_parts(work, num_rows=10, width=2, threads=threads)) == list(range(10))


def test_threads_share_no_scratch_and_torch_keeps_to_one_thread(monkeypatch):
    small_parts(monkeypatch)
    at_work, torch_threads = set(), set()
    both = threading.Barrier(2, timeout=30)

    def work(part, scratch):
        at_work.add(id(scratch))
        torch_threads.add(torch.get_num_threads())
        both.wait()

    before = torch.get_num_threads()
    list(map_parts(work, num_rows=4, width=2, threads=2))
    assert len(at_work) == 2
    assert torch_threads == {1}
    assert torch.get_num_threads() == before


def test_few_results_wait_for_a_slow_caller(monkeypatch):
    small_parts(monkeypatch)
    done = []

    def work(part, scratch):
        done.append(part.start)

    for taken, _ in enumerate(map_parts(work, num_rows=200, width=2, threads=2)):
        time.sleep(0.001)
        assert len(done) <= taken + 7


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    small_parts(monkeypatch)

    def work(part, scratch):
        if part.start == 3:
            raise ValueError("part three")

    with pytest.raises(ValueError, match="part three"):
        list(map_parts(work, num_rows=6, width=2, threads=2))
