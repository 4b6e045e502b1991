"""Reading, splitting and laying out sequences, by hand."""

import numpy as np
import pytest

from gpr_core.sequential.sequences import Histories, read_sequences
from gpr_core.support.errors import ContractError


def write(tmp_path, text):
    path = tmp_path / "Tiny.txt"
    path.write_text(text)
    return path


def rows(histories):
    """Sequences as lists."""
    return [
        histories.item_M[first:last].tolist()
        for first, last in zip(histories.offset_U1[:-1], histories.offset_U1[1:], strict=True)
    ]


@pytest.fixture
def data(tmp_path):
    return read_sequences(write(tmp_path, "1 10 20 30 20\n\n7 40 10\n3 30 40 50\n"))


def test_items_are_numbered_in_the_order_of_their_ids(data):
    assert (data.name, data.num_items) == ("Tiny", 5)
    assert data.item_ids_A.tolist() == [10, 20, 30, 40, 50]
    assert rows(data.all) == [[0, 1, 2, 1], [3, 0], [2, 3, 4]]


def test_nothing_is_learned_from_the_last_two_items(data):
    assert rows(data.train) == [[0, 1], [], [2]]


def test_the_validation_item_belongs_to_the_test_history(data):
    assert rows(data.validation.history) == [[0, 1], [2]]
    assert data.validation.target_B.tolist() == [2, 3]
    assert rows(data.test.history) == [[0, 1, 2], [2, 3]]
    assert data.test.target_B.tolist() == [1, 4]


def test_users_and_positions_of_flat_interactions(data):
    assert data.all.users.tolist() == [0, 0, 0, 0, 1, 1, 2, 2, 2]
    assert data.all.positions.tolist() == [0, 1, 2, 3, 0, 1, 0, 1, 2]


def test_users_are_taken_in_the_order_asked_for(data):
    assert rows(data.all.select(np.array([2, 0, 2]))) == [[2, 3, 4], [0, 1, 2, 1], [2, 3, 4]]
    assert rows(data.all.select(np.array([], dtype=np.int64))) == []


def test_the_latest_items_are_left_aligned(data):
    assert data.all.latest(3).tolist() == [[1, 2, 1], [3, 0, -1], [2, 3, 4]]
    assert data.all.latest(9).shape == (3, 4)
    empty = Histories(np.array([], dtype=np.int64), np.array([0, 0]))
    assert empty.latest(5).tolist() == [[-1]]


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("1 2 3 x\n", "found 'x', expected a user and items as positive integers", ":1"),
        ("1 2 3 4\n2 0 3\n", "found '0'", ":2"),
        ("1 2 3 4\n2 -5 3\n", "found '-5'", ":2"),
        ("1 2 3 4\n2\n", "found no item", ":2"),
        ("1 2 3 4\n2 3\n1 5 6\n", "user 1 has two lines, 1 and 3", "Tiny.txt"),
        ("1 2 3\n", "no user has 3 items or more", "Tiny.txt"),
        ("", "no user has 3 items or more", "Tiny.txt"),
    ],
)
def test_a_bad_line_is_refused_with_its_number(tmp_path, text, message, place):
    with pytest.raises(ContractError, match=message) as caught:
        read_sequences(write(tmp_path, text))
    assert place in caught.value.where
    assert caught.value.fix
