"""Eligibility by bitmaps, against the rule that joins whole ads and against a plain loop."""

import numpy as np
import pytest
import torch

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import eligible_ads
from gpr_core.catalog.targeting import TargetingIndex
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


def draw_viewers(seed, count, ts=NOW):
    """Draw what targeting looks at, places that no ad names among it."""
    stream = numpy_stream(seed, "viewers")
    age, gender, device = stream.integers(0, 8, size=(3, count))
    place = stream.integers(-1, 6, size=count)
    return make_context(ts=[ts] * count, age_bucket=age, gender=gender, device=device, geo_l2=place)


@pytest.mark.parametrize("num_ads", [1, 63, 64, 65, 700])
def test_bitmaps_agree_with_the_rule_on_ten_thousand_viewers(num_ads):
    table, _ = draw_catalog(num_ads, num_ads)
    viewers = draw_viewers(num_ads, 2000)
    found = TargetingIndex.build(table, NOW).eligible(viewers)
    assert np.array_equal(found.mask(), eligible_ads(table, viewers))


def test_nodes_are_counted_exactly():
    table, trie = draw_catalog(5, 400)
    viewers = draw_viewers(5, 50)
    found = TargetingIndex.build(table, NOW).eligible(viewers)
    eligible_BA = eligible_ads(table, viewers)
    first_N, end_N = (part.numpy() for part in trie.interval(torch.arange(trie.num_nodes)))
    for row in range(50):
        expected = [eligible_BA[row, a:b].sum() for a, b in zip(first_N, end_N, strict=True)]
        rows_N = np.full_like(first_N, row)
        assert found.count_between(rows_N, first_N, end_N).tolist() == expected


def test_capped_stopped_and_resumed_ads():
    table, _ = draw_catalog(1, 400)
    index = TargetingIndex.build(table, NOW)
    viewers = draw_viewers(1, 2)
    before = index.eligible(viewers).mask()
    first, second, *_ = np.flatnonzero(before[0])
    capped = index.eligible(viewers, (np.array([0, 0]), np.array([first, second]))).mask()
    assert np.flatnonzero(before[0] != capped[0]).tolist() == [first, second]
    assert np.array_equal(before[1], capped[1])
    index.stop(int(first))
    assert not index.eligible(viewers).mask()[:, first].any()
    index.resume(int(first))
    assert np.array_equal(index.eligible(viewers).mask(), before)


def test_the_index_says_until_when_it_is_exact():
    table, _ = draw_catalog(3, 200)
    index = TargetingIndex.build(table, NOW)
    last = index.until_ts - 1
    found = index.eligible(draw_viewers(3, 200, last)).mask()
    assert np.array_equal(found, eligible_ads(table, draw_viewers(3, 200, last)))
    changed = eligible_ads(table, draw_viewers(3, 200, index.until_ts))
    assert not np.array_equal(found, changed)


def test_a_viewer_outside_the_masks_is_refused():
    table, _ = draw_catalog(0, 5)
    with pytest.raises(ContractError, match=r"device ranges from 8 to 8, expected 0\.\.7"):
        TargetingIndex.build(table, NOW).eligible(make_context(ts=[NOW], device=[8]))
