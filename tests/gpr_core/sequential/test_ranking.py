"""Places of targets among unseen items, by hand."""

import numpy as np
import pytest

from gpr_core.sequential import ranking
from gpr_core.sequential.ranking import ranking_metrics, target_ranks
from gpr_core.sequential.sequences import Histories, LeaveOneOut


class Fixed:
    """Gives every user the same scores."""

    def __init__(self, *scores):
        self.scores = np.array(scores, np.float32)

    def score(self, history):
        return np.tile(self.scores, (len(history), 1))


def task(*users):
    """Histories and targets from (items, target) pairs."""
    offset = np.cumsum([0, *(len(items) for items, _ in users)])
    flat = np.array([item for items, _ in users for item in items])
    return LeaveOneOut(Histories(flat, offset), np.array([target for _, target in users]))


def test_the_place_counts_the_unseen_items_that_score_higher():
    users = task(([0], 3), ([4], 3), ([0, 4], 1))
    # Item 0 scores 5, item 4 scores 4, item 3 scores 3.
    assert target_ranks(Fixed(5, 1, 2, 3, 4), users).tolist() == [1, 1, 2]


def test_a_tie_counts_against_the_ranker():
    assert target_ranks(Fixed(1, 1, 1, 1), task(([0], 2))).tolist() == [2]


def test_a_target_that_was_seen_before_still_competes():
    assert target_ranks(Fixed(5, 1, 2), task(([0, 1], 0))).tolist() == [0]


def test_an_item_that_is_never_shown_has_the_last_place():
    never = float("-inf")
    assert target_ranks(Fixed(never, never, 1, never), task(([2], 3))).tolist() == [3]


def test_batches_do_not_change_places(monkeypatch):
    users = task(*(([item % 4], 4) for item in range(7)))
    ranker = Fixed(5, 1, 6, 7, 4)
    whole = target_ranks(ranker, users)
    monkeypatch.setattr(ranking, "_USERS_AT_ONCE", 2)
    assert np.array_equal(target_ranks(ranker, users), whole)
    assert whole.tolist() == [2, 3, 2, 2, 2, 3, 2]


def test_scores_of_the_ranker_are_not_written_to():
    class Shared(Fixed):
        def score(self, history):
            return self.kept

    ranker = Shared(3, 2, 1)
    ranker.kept = np.array([[3, 2, 1]], np.float32)
    assert target_ranks(ranker, task(([0], 2))).tolist() == [1]
    assert ranker.kept.tolist() == [[3, 2, 1]]


def test_metrics_look_at_the_first_places_only():
    metrics = ranking_metrics(np.array([0, 4, 5, 9, 10]))
    assert metrics["recall@5"].tolist() == [1, 1, 0, 0, 0]
    assert metrics["recall@10"].tolist() == [1, 1, 1, 1, 0]
    assert metrics["ndcg@10"] == pytest.approx(
        [1, 1 / np.log2(6), 1 / np.log2(7), 1 / np.log2(11), 0]
    )
