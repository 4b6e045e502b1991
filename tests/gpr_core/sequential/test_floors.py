"""Floors by hand."""

import numpy as np
import pytest

from gpr_core.sequential.floors import (
    ItemKnnFloor,
    PopularityFloor,
    RepeatLastFloor,
    TransitionFloor,
)
from gpr_core.sequential.sequences import Histories


def histories(*rows):
    offset = np.cumsum([0, *(len(row) for row in rows)])
    return Histories(np.array([item for row in rows for item in row]), offset)


TRAIN = histories([0, 1, 2], [0, 1], [3])


def test_popularity_counts_interactions():
    score = PopularityFloor(TRAIN, 5).score(histories([3], [0]))
    assert score == pytest.approx(np.tile([2 / 6, 2 / 6, 1 / 6, 1 / 6, 0], (2, 1)))


def test_repeat_last_shows_only_the_users_own_items_latest_first():
    score = RepeatLastFloor(4).score(histories([2, 0, 2], [3]))
    never = -np.inf
    assert score.tolist() == [[1, never, 2, never], [never, never, never, 0]]


def test_transitions_follow_the_last_item_nearer_ones_first():
    score = TransitionFloor(TRAIN, 5).score(histories([3, 0], [1, 3]))
    # After 0: item 1 twice at distance one, item 2 once at distance two.
    assert np.argsort(-score[0])[:2].tolist() == [1, 2]
    # Nothing follows item 3, so popularity decides.
    assert np.argmax(score[1]) in (0, 1)


def test_neighbours_share_users_and_the_latest_item_counts_most():
    floor = ItemKnnFloor(TRAIN, 5)
    one = floor.score(histories([0]))[0]
    # Cosine of the sets of users: 0 and 1 share both users, 0 and 2 one of two and one.
    assert one == pytest.approx([1, 1, 1 / np.sqrt(2), 0, 0])
    both = floor.score(histories([3, 0]))[0]
    assert both == pytest.approx([1, 1, 1 / np.sqrt(2), 0.8, 0])


def test_an_item_that_a_user_repeats_counts_once():
    floor = ItemKnnFloor(histories([0, 1, 0, 0]), 2)
    assert floor.score(histories([0]))[0] == pytest.approx([1, 1])
