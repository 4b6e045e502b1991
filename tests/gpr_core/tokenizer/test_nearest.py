"""Chunks of a search: blocks of centers, order of results, threads."""

import threading
import time

import numpy as np
import pytest
import torch

from gpr_core.tokenizer import nearest
from gpr_core.tokenizer.nearest import CHUNK_ROWS, Centers, Scratch, map_chunks

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


@pytest.mark.parametrize("threads", [1, 3])
def test_results_come_in_the_order_of_the_rows(threads):
    def work(part, scratch):
        time.sleep(0.02 if part.start == 0 else 0)
        return part.start, part.stop

    found = list(map_chunks(work, num_rows=10, width=2, rows=3, threads=threads))
    assert found == [(0, 3), (3, 6), (6, 9), (9, 10)]
    assert list(map_chunks(work, num_rows=0, width=2, threads=threads)) == []


def test_threads_share_no_scratch_and_torch_keeps_to_one_thread():
    at_work, torch_threads = set(), set()
    both = threading.Barrier(2, timeout=30)

    def work(part, scratch):
        at_work.add(id(scratch))
        torch_threads.add(torch.get_num_threads())
        both.wait()

    before = torch.get_num_threads()
    list(map_chunks(work, num_rows=4, width=2, rows=1, threads=2))
    assert len(at_work) == 2
    assert torch_threads == {1}
    assert torch.get_num_threads() == before


def test_few_results_wait_for_a_slow_caller():
    done = []

    def work(part, scratch):
        done.append(part.start)

    for taken, _ in enumerate(map_chunks(work, num_rows=200, width=2, rows=1, threads=2)):
        time.sleep(0.001)
        assert len(done) <= taken + 7


def test_an_error_in_a_thread_reaches_the_caller():
    def work(part, scratch):
        if part.start == 3 * CHUNK_ROWS:
            raise ValueError("chunk three")

    with pytest.raises(ValueError, match="chunk three"):
        list(map_chunks(work, num_rows=6 * CHUNK_ROWS, width=2, threads=2))
