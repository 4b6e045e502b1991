"""Distinctive words, worked out by hand."""

import numpy as np
import pytest

from gpr_core.tokenizer.title_words import distinctive_words, title_words

TITLES = ["The red hot tea", "green hot tea", "the fast hot car", "the red hot car"]
GROUPS = np.array([4, 4, 7, 7])


def test_a_word_counts_once_per_title_in_lower_case():
    words = title_words(["Tea TEA tea", "", "a 7 x2 of the Sci-Fi, children's"])
    assert words.vocabulary == ("children's", "sci-fi", "tea", "x2")
    assert words.item_Q.tolist() == [0, 2, 2, 2]
    assert words.word_Q.tolist() == [2, 0, 1, 3]
    assert words.num_items == 3


def test_words_that_are_everywhere_or_rarer_here_are_never_first():
    # In group 4 `tea` has p = 1, q = 1/2: log 2; `green` 1/2 log 2; `red` and `hot` 0.
    labels = distinctive_words(title_words(TITLES), GROUPS)
    assert labels == {4: "tea, green", 7: "car, fast"}
    assert distinctive_words(title_words(TITLES), GROUPS, limit=1) == {4: "tea", 7: "car"}


def test_ties_are_broken_by_count_and_then_by_the_alphabet():
    # A single group scores 0 everywhere.
    labels = distinctive_words(title_words(["pear fig", "fig", "kiwi pear"]), np.zeros(3, np.int64))
    assert labels == {0: "fig, pear"}


def test_a_rarer_word_is_left_out_even_if_the_label_stays_short():
    # Half of all titles say `red`, but only one in four of group 1.
    titles = ["red", "red", "red", "", "red", "", "", ""]
    assert distinctive_words(title_words(titles), np.repeat([0, 1], 4)) == {0: "red", 1: ""}


@pytest.mark.parametrize("titles", [[""] * 4, ["1", "2", "3", "4"]])
def test_groups_without_words_have_an_empty_label(titles):
    assert distinctive_words(title_words(titles), GROUPS) == {4: "", 7: ""}


def test_no_items_have_no_labels():
    assert distinctive_words(title_words([]), np.zeros(0, np.int64)) == {}


def test_a_selection_is_the_same_as_splitting_only_its_titles():
    is_taken = np.array([False, True, False, True])
    taken = title_words(TITLES).take(is_taken)
    alone = title_words([TITLES[1], TITLES[3]])
    group = np.array([0, 1])
    assert distinctive_words(taken, group) == distinctive_words(alone, group)
    assert taken.item_Q.tolist() == alone.item_Q.tolist()
    assert taken.num_items == 2
