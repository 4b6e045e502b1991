"""Eligibility by bitmaps, against the rule that joins whole ads and against a plain loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import eligible_ads
from gpr_core.catalog.targeting import EligibleAds, TargetingIndex, Viewer
from gpr_core.catalog.trie import Trie
from gpr_core.support.errors import ContractError
from gpr_core.support.seeding import numpy_stream
from tests.gpr_core.catalog.catalogs import make_ads, make_context, make_versions

NOW = 1000


def draw_catalog(seed, num_ads):
    """Draw ads with versions before and after now, masks, places and states."""
    stream = numpy_stream(seed, "catalog")
    versions, launches = [], {}
    for key in range(1, num_ads + 1):
        launches[key] = int(stream.integers(0, 1400))
        for start in sorted(stream.integers(0, 1500, size=stream.integers(1, 4)).tolist()):
            versions.append(
                {
                    "ad_key": key,
                    "valid_from": start,
                    "status": int(stream.choice([0, 0, 0, 1, 2])),
                    "age_mask": int(stream.integers(0, 256)),
                    "gender_mask": int(stream.integers(0, 256)),
                    "device_mask": int(stream.integers(0, 256)),
                    "geo_set": stream.integers(0, 4, size=stream.integers(0, 3)).tolist(),
                }
            )
    seen, distinct = set(), []
    for row in versions:
        if (row["ad_key"], row["valid_from"]) not in seen:
            seen.add((row["ad_key"], row["valid_from"]))
            distinct.append(row)
    path_AL = stream.integers(0, 3, size=(num_ads, 3)).astype(np.int16)
    trie = Trie.build(path_AL, np.arange(1, num_ads + 1, dtype=np.uint64), (3, 3, 3))
    ads = make_ads([{"ad_key": key, "launch_ts": launches[key]} for key in launches])
    return AdTable.build(ads, make_versions(distinct), trie), trie


def draw_viewers(seed, count):
    """Draw what targeting looks at."""
    stream = numpy_stream(seed, "viewers")
    masks, places = stream.integers(0, 8, size=(count, 3)), stream.integers(-1, 6, size=(count, 1))
    return [Viewer(*row) for row in np.concatenate([masks, places], axis=1).tolist()]


def context_of(viewers, ts=NOW):
    """The same viewers as a request context."""
    age, gender, device, place = zip(*viewers, strict=True)
    return make_context(
        ts=[ts] * len(viewers), age_bucket=age, gender=gender, device=device, geo_l2=place
    )


def as_bits(found, num_ads):
    """Unpack the eligible ads."""
    return found.contains(np.arange(num_ads)).tolist()


@pytest.mark.parametrize("num_ads", [1, 63, 64, 65, 700])
def test_bitmaps_agree_with_the_rule_on_ten_thousand_viewers(num_ads):
    table, _ = draw_catalog(num_ads, num_ads)
    index = TargetingIndex.build(table, NOW)
    viewers = draw_viewers(num_ads, 2000)
    expected_BA = eligible_ads(table, context_of(viewers))
    for viewer, expected_A in zip(viewers, expected_BA, strict=True):
        found = index.eligible(viewer)
        assert np.array_equal(found.contains(np.arange(num_ads)), expected_A)
        assert len(found) == expected_A.sum()


def test_nodes_are_counted_exactly():
    table, trie = draw_catalog(5, 400)
    first_N, end_N = trie.first_N.numpy(), trie.end_N.numpy()
    for viewer in draw_viewers(5, 50):
        found = TargetingIndex.build(table, NOW).eligible(viewer)
        eligible_A = found.contains(np.arange(400))
        expected = [eligible_A[a:b].sum() for a, b in zip(first_N, end_N, strict=True)]
        assert found.count_between(first_N, end_N).tolist() == expected


@given(
    bits=st.lists(st.booleans(), min_size=1, max_size=1200),
    pairs=st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 1200)), max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_intervals_are_counted_and_listed_as_in_a_loop(bits, pairs):
    padded = np.zeros(-(-len(bits) // 512) * 512, dtype=np.bool_)
    padded[: len(bits)] = bits
    found = EligibleAds.of(np.packbits(padded, bitorder="little").view("<u8"))
    spans = [(min(a, b, len(bits)), min(max(a, b), len(bits))) for a, b in pairs]
    first_M = np.array([a for a, _ in spans], dtype=np.int64)
    end_M = np.array([b for _, b in spans], dtype=np.int64)
    assert found.count_between(first_M, end_M).tolist() == [sum(bits[a:b]) for a, b in spans]
    row_C, rank_C = found.ranks_between(first_M, end_M)
    expected = [
        (row, rank) for row, (a, b) in enumerate(spans) for rank in range(a, b) if bits[rank]
    ]
    assert list(zip(row_C.tolist(), rank_C.tolist(), strict=True)) == expected


def test_a_full_catalog_is_counted_to_its_last_bit():
    found = EligibleAds.of(np.full(16, np.iinfo(np.uint64).max, dtype=np.uint64))
    assert len(found) == 1024
    ends = np.array([1, 63, 64, 511, 512, 513, 1024])
    assert found.count_between(np.zeros(7, dtype=np.int64), ends).tolist() == ends.tolist()


def test_capped_stopped_and_resumed_ads():
    table, _ = draw_catalog(1, 100)
    index = TargetingIndex.build(table, NOW)
    viewer = draw_viewers(1, 1)[0]
    before = as_bits(index.eligible(viewer), 100)
    first, second, *_ = np.flatnonzero(before)
    capped = as_bits(index.eligible(viewer, np.array([first, second])), 100)
    assert np.flatnonzero(np.array(before) != np.array(capped)).tolist() == [first, second]
    index.stop(int(first))
    assert not as_bits(index.eligible(viewer), 100)[first]
    index.resume(int(first))
    assert as_bits(index.eligible(viewer), 100) == before


def test_the_index_says_until_when_it_is_exact():
    table, _ = draw_catalog(3, 200)
    index = TargetingIndex.build(table, NOW)
    viewers = draw_viewers(3, 200)
    last = index.until_ts - 1
    expected_BA = eligible_ads(table, context_of(viewers, last))
    for viewer, expected_A in zip(viewers, expected_BA, strict=True):
        assert np.array_equal(index.eligible(viewer).contains(np.arange(200)), expected_A)
    changed_BA = eligible_ads(table, context_of(viewers, index.until_ts))
    assert not np.array_equal(expected_BA, changed_BA)


def test_a_viewer_outside_the_masks_is_refused():
    table, _ = draw_catalog(0, 5)
    with pytest.raises(ContractError, match="device is 8"):
        TargetingIndex.build(table, NOW).eligible(Viewer(0, 0, 8, 0))
