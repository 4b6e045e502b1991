import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.generation.beam_width import allocate_width


def allocate(values, groups, capacity, width=4, temperature=1.0, over_generation=2.0):
    return allocate_width(
        np.array(values, dtype=float),
        np.array(groups, dtype=np.int64),
        np.array(capacity, dtype=np.int64),
        width=width,
        temperature=temperature,
        over_generation=over_generation,
    ).tolist()


def test_equal_values_share_equally():
    assert allocate([1.0, 1.0], [0, 0], [9, 9]) == [4, 4]


def test_every_prefix_gets_a_child_and_none_more_than_it_has():
    # Softmax of (0, 20): the first wants round(8 * 2e-9) = 0 -> 1, the second 8 -> capped at 2;
    # one beam of the width is missing and goes to the first, which still has children.
    assert allocate([0.0, 20.0], [3, 3], [9, 2]) == [2, 2]


def test_missing_width_goes_to_the_most_valuable_with_children_left():
    # Shares 8 * (0.665, 0.245, 0.090) round to (5, 2, 1); the first is capped at 1, so that 4 are
    # allocated, and width 6 asks for 2 more: both go to the second.
    assert allocate([2.0, 1.0, 0.0], [0, 0, 0], [1, 9, 9], width=6, over_generation=4 / 3) == [
        1,
        4,
        1,
    ]


def test_groups_do_not_share():
    assert allocate([5.0, 0.0, 0.0], [0, 1, 1], [3, 9, 9]) == [3, 4, 4]


def test_infinite_temperature_ignores_the_value():
    assert allocate([9.0, 0.0], [0, 0], [9, 9], temperature=1e9) == [4, 4]


def test_no_prefix_gives_nothing():
    assert allocate([], [], []) == []


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.floats(-3, 3), st.integers(1, 12)), min_size=1, max_size=12),
    st.integers(1, 30),
)
def test_width_is_filled_and_monotone_in_the_value(prefixes, width):
    values, capacity = [p[0] for p in prefixes], [p[1] for p in prefixes]
    share = allocate(values, [0] * len(values), capacity, width=width, over_generation=1.0)
    assert sum(share) >= min(width, sum(capacity))
    for one, (value, room) in enumerate(prefixes):
        assert 1 <= share[one] <= room
        for other, (other_value, _) in enumerate(prefixes):
            if value > other_value:
                assert share[one] >= share[other] or share[one] == room
