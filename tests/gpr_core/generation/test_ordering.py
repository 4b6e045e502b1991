import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.generation.ordering import best_of_groups, rank_in_group


def test_later_keys_break_ties_of_earlier_ones():
    group = np.array([1, 0, 1, 1])
    first = np.array([5.0, 1.0, 5.0, 6.0])
    second = np.array([0.0, 0.0, 2.0, -9.0])
    assert rank_in_group(group, first, second).tolist() == [2, 0, 1, 0]


def test_remaining_ties_go_to_the_row_that_comes_first():
    assert rank_in_group(np.array([4, 4, 4])).tolist() == [0, 1, 2]


def test_no_rows():
    assert rank_in_group(np.zeros(0, dtype=np.int64)).tolist() == []


def test_cut_prefers_score_then_logp_then_the_smaller_path():
    group, score = np.array([0, 0, 0, 0]), np.array([1.0, 2.0, 2.0, 2.0])
    logp = np.array([0.0, -3.0, -1.0, -1.0])
    assert best_of_groups(group, np.array([1]), score, logp).tolist() == [2]
    assert best_of_groups(group, np.array([3]), score, logp).tolist() == [1, 2, 3]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(0, 2)), max_size=40
    ).map(sorted),
    limits=st.lists(st.integers(1, 6), min_size=5, max_size=5),
)
def test_the_best_of_groups_are_those_of_a_full_sort(rows, limits):
    group, first, second = (np.array([row[i] for row in rows], dtype=np.int64) for i in range(3))
    keys, limit = (first.astype(float), second.astype(float)), np.array(limits)
    expected = np.flatnonzero(rank_in_group(group, *keys) < limit[group])
    assert best_of_groups(group, limit, *keys).tolist() == expected.tolist()
