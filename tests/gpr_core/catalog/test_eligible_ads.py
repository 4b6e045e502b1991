"""Counting on bitmaps, against plain loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.catalog.eligible_ads import EligibleAds, pack_ads


@given(
    bits=st.lists(st.booleans(), min_size=1, max_size=1200),
    pairs=st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 1200)), max_size=20),
)
@settings(max_examples=200, deadline=None, derandomize=True)
def test_intervals_are_counted_as_in_a_loop(bits, pairs):
    found = EligibleAds.of_mask(np.array([bits, bits[::-1]]))
    for row, mine in enumerate((bits, bits[::-1])):
        spans = [(min(a, b, len(bits)), min(max(a, b), len(bits))) for a, b in pairs]
        first, end = (np.array([s[i] for s in spans], dtype=np.int64) for i in range(2))
        rows = np.full_like(first, row)
        assert found.count_between(rows, first, end).tolist() == [sum(mine[a:b]) for a, b in spans]
        owner, rank = found.list_between(rows, first, end)
        listed = [(idx, at) for idx, (a, b) in enumerate(spans) for at in range(a, b) if mine[at]]
        assert list(zip(owner.tolist(), rank.tolist(), strict=True)) == listed
        ranks = np.arange(len(bits))
        assert found.contains(np.full_like(ranks, row), ranks).tolist() == mine
        assert found.mask()[row].tolist() == mine
        assert int(found.totals()[row]) == sum(mine)


def test_a_full_catalog_is_counted_to_its_last_bit():
    for num_ads in (1, 63, 64, 255, 256, 257, 1024):
        found = EligibleAds.of_mask(np.ones((2, num_ads), dtype=bool))
        ends = np.arange(num_ads + 1)
        assert np.array_equal(found.count_before(np.ones_like(ends), ends), ends)


def test_an_empty_catalog_has_no_ads():
    found = EligibleAds.of_mask(np.zeros((2, 0), dtype=bool))
    assert found.totals().tolist() == [0, 0]
    assert found.mask().shape == (2, 0)


def test_words_are_those_of_the_mask():
    mask = np.zeros((1, 70), dtype=bool)
    mask[0, [0, 63, 64]] = True
    assert pack_ads(mask).tolist() == [[-(2**63) + 1, 1, 0, 0]]


def test_counting_outside_the_catalog_is_an_error():
    found = EligibleAds.of_mask(np.ones((2, 70), dtype=bool))
    for row, rank in ((2, 0), (-1, 0), (0, -1), (0, 256)):
        with pytest.raises(IndexError, match="no such request or ad"):
            found.count_before(np.array([row]), np.array([rank]))
