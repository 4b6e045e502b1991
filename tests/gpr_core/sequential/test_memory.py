"""A ranker and a table of transitions, added."""

import numpy as np
import pytest

from gpr_core.sequential.floors import TransitionFloor
from gpr_core.sequential.memory import WEIGHTS, TransitionMemory, choose_memory
from gpr_core.sequential.ranking import target_ranks
from gpr_core.sequential.sequences import Histories, LeaveOneOut

TRAIN = Histories(np.array([0, 1, 0, 1, 2, 3]), np.array([0, 2, 4, 6]))
AFTER_0 = LeaveOneOut(Histories(np.array([0]), np.array([0, 1])), np.array([1]))


class Flat:
    """Knows nothing, or prefers one item a little."""

    def __init__(self, favorite=None, gain=1.0):
        self.score_A = np.full(5, np.log(0.2), np.float32)
        if favorite is not None:
            self.score_A[favorite] += gain

    def score(self, history):
        return np.tile(self.score_A, (len(history), 1))


def transitions():
    return TransitionFloor(TRAIN, 5)


def test_a_weight_of_zero_is_the_ranker_alone():
    score = TransitionMemory(Flat(), transitions(), 0.0).score(AFTER_0.history)
    assert score == pytest.approx(np.full((1, 5), np.log(0.2)))


def test_a_pair_that_was_seen_gains_and_no_item_is_ruled_out():
    score = TransitionMemory(Flat(), transitions(), 0.1).score(AFTER_0.history)[0]
    assert score.argmax() == 1
    assert np.isfinite(score).all()


def test_the_weight_is_the_smallest_that_ranks_the_validation_item_best():
    assert choose_memory(Flat(), transitions(), AFTER_0).weight == WEIGHTS[1]
    # The ranker finds the item alone.
    assert choose_memory(Flat(favorite=1), transitions(), AFTER_0).weight == 0.0


def test_a_ranker_that_errs_a_little_is_mended_by_more_weight():
    wrong = Flat(favorite=4, gain=1.5)
    assert target_ranks(wrong, AFTER_0).tolist() == [3]
    chosen = choose_memory(wrong, transitions(), AFTER_0)
    assert chosen.weight > WEIGHTS[1]
    assert target_ranks(chosen, AFTER_0).tolist() == [0]
