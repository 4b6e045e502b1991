"""Tests of hashed words."""

from gpr_core.features.batch import NUM_WORD_BUCKETS
from gpr_core.knowledge.words import thought_words


def test_words_and_pairs_are_hashed_and_character_grams_are_not():
    # Words: likes, category3. Pairs: likes category3.
    assert len(thought_words("likes category3")) == 3


def test_order_of_words_matters_through_pairs_only():
    one, two = set(thought_words("red green tea")), set(thought_words("green red tea"))
    assert len(one & two) == 3
    assert one != two


def test_zero_stays_free():
    found = thought_words(" ".join(f"category{number}" for number in range(5000)))
    assert min(found) >= 1
    assert max(found) < NUM_WORD_BUCKETS
    assert thought_words("") == []
