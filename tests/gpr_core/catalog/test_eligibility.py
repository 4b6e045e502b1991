"""Which ads may serve which request, against a brute-force rule."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import (
    FrequencyCounter,
    RequestContext,
    eligible_ads,
    request_context,
)
from gpr_core.catalog.shown_counts import ShownCounts
from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import DAY_MS
from gpr_core.support.errors import ContractError
from tests.gpr_core.catalog.catalogs import make_ads, make_context, make_versions


def make_table(versions, launches=None):
    """Ads 1, 2, .. of rank 0, 1, ..."""
    keys = sorted({row["ad_key"] for row in versions})
    path_AL = np.arange(len(keys), dtype=np.int16)[:, None]
    trie = Trie.build(path_AL, np.array(keys, np.uint64))
    launches = launches or {}
    ads = make_ads([{"ad_key": key, "launch_ts": launches.get(key, 0)} for key in keys])
    return AdTable.build(ads, make_versions(versions), trie), trie


def test_every_mask_must_admit_the_user():
    table, _ = make_table(
        [
            {"ad_key": 1, "age_mask": 0b100},
            {"ad_key": 2, "gender_mask": 0b10},
            {"ad_key": 3, "device_mask": 0b1},
            {"ad_key": 4},
        ]
    )
    context = make_context(age_bucket=[2, 3], gender=[1, 2], device=[1, 0])
    expected = [[True, True, False, True], [False, False, True, True]]
    assert eligible_ads(table, context).tolist() == expected


def test_an_empty_geo_set_is_everywhere():
    table, _ = make_table([{"ad_key": 1, "geo_set": [3, 5]}, {"ad_key": 2, "geo_set": []}])
    context = make_context(geo_l2=[3, 4, 5, 0, 400])
    expected = [[True, True], [False, True], [True, True], [False, True], [False, True]]
    assert eligible_ads(table, context).tolist() == expected


def test_paused_ended_and_future_ads_do_not_serve():
    table, _ = make_table(
        [
            {"ad_key": 1, "status": 1},
            {"ad_key": 2, "status": 2},
            {"ad_key": 3},
            {"ad_key": 4, "valid_from": 50},
        ],
        launches={3: 100},
    )
    context = make_context(ts=[40, 60, 100])
    expected = [[False] * 4, [False, False, False, True], [False, False, True, True]]
    assert eligible_ads(table, context).tolist() == expected


def test_an_exhausted_budget_ends_eligibility():
    table, _ = make_table(
        [
            {"ad_key": 1, "daily_budget_micros": 10, "total_budget_micros": 20},
            {"ad_key": 2, "daily_budget_micros": 30, "total_budget_micros": 40},
        ]
    )
    context = make_context(ts=[1, 2])
    daily = eligible_ads(table, context, spent_today=np.array([10, 29]))
    assert daily.tolist() == [[False, True], [False, True]]
    per_request = eligible_ads(table, context, spent_today=np.array([[9, 30], [10, 0]]))
    assert per_request.tolist() == [[True, False], [False, True]]
    total = eligible_ads(table, context, spent_total=np.array([19, 40]))
    assert total.tolist() == [[True, False], [True, False]]


def test_a_reached_frequency_cap_ends_eligibility():
    table, _ = make_table([{"ad_key": 1, "freq_cap_day": 2}, {"ad_key": 2, "freq_cap_day": 0}])
    shown = ShownCounts(np.array([0, 1, 1]), np.array([0, 0, 1]), np.array([1, 2, 99]))
    found = eligible_ads(table, make_context(ts=[1, 2]), shown_today=shown)
    assert found.tolist() == [[True, True], [False, True]]


def test_impressions_count_for_the_same_user_and_day_before_the_request():
    _, trie = make_table([{"ad_key": 1}, {"ad_key": 2}])
    noon = DAY_MS + DAY_MS // 2
    impressions = pa.table(
        {
            "user_key": np.array([8, 8, 8, 8, 9, 8, 8], np.uint64),
            "ts": [noon, noon + 1, noon + 5, DAY_MS - 1, noon, noon + 2, noon + 3],
            "ad_key": np.array([1, 1, 1, 1, 1, 2, 77], np.uint64),
        }
    )
    context = make_context(
        user_key=[8, 8, 9, 5, 8], ts=[noon, noon + 5, noon + 9, noon, 2 * DAY_MS]
    )
    shown = FrequencyCounter(impressions, trie).shown_before(context)
    # Row 0: the impression at noon itself is not before noon. Row 1: two of ad 1, one of ad 2.
    assert shown.row_S.tolist() == [1, 1, 2]
    assert shown.rank_S.tolist() == [0, 1, 0]
    assert shown.count_S.tolist() == [2, 1, 1]


def test_without_impressions_nothing_was_shown():
    _, trie = make_table([{"ad_key": 1}])
    empty = pa.table({name: np.zeros(0, np.uint64) for name in ("user_key", "ts", "ad_key")})
    shown = FrequencyCounter(empty, trie).shown_before(make_context(user_key=[3], ts=[5]))
    assert shown.row_S.size == 0


def test_the_context_is_taken_from_a_table():
    columns = {name: np.array([idx, idx + 1]) for idx, name in enumerate(RequestContext._fields)}
    context = request_context(pa.table(columns))
    assert context.geo_l2.tolist() == [6, 7]
    assert context.privacy.dtype == np.int64


def test_a_bucket_outside_the_masks_is_refused():
    table, _ = make_table([{"ad_key": 1}])
    with pytest.raises(ContractError, match=r"gender ranges from 0 to 8, expected 0\.\.7"):
        eligible_ads(table, make_context(gender=[0, 8]))


VERSION = st.fixed_dictionaries(
    {
        "ad_key": st.integers(1, 4),
        "valid_from": st.integers(0, 9),
        "status": st.integers(0, 2),
        "age_mask": st.integers(1, 7),
        "gender_mask": st.integers(1, 7),
        "device_mask": st.integers(1, 7),
        "geo_set": st.lists(st.integers(0, 2), max_size=2),
        "freq_cap_day": st.integers(0, 2),
        "daily_budget_micros": st.integers(1, 3),
    }
)
REQUEST = st.tuples(*[st.integers(0, 2)] * 4, st.integers(0, 12))


def brute_force(versions, launches, request, spent, shown):
    """Apply the rule ad by ad, in plain words."""
    age, gender, device, place, ts = request
    found = []
    for key in sorted({row["ad_key"] for row in versions}):
        past = [row for row in versions if row["ad_key"] == key and row["valid_from"] <= ts]
        if not past or launches[key] > ts:
            found.append(False)
            continue
        row = max(past, key=lambda version: version["valid_from"])
        cap = row["freq_cap_day"]
        found.append(
            row["status"] == 0
            and bool(row["age_mask"] >> age & 1)
            and bool(row["gender_mask"] >> gender & 1)
            and bool(row["device_mask"] >> device & 1)
            and (not row["geo_set"] or place in row["geo_set"])
            and spent < row["daily_budget_micros"]
            and (cap == 0 or shown < cap)
        )
    return found


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.lists(VERSION, min_size=1, max_size=10, unique_by=lambda v: (v["ad_key"], v["valid_from"])),
    st.lists(REQUEST, min_size=1, max_size=6),
    st.lists(st.integers(0, 9), min_size=4, max_size=4),
    st.integers(0, 2),
    st.integers(1, 2),
)
def test_eligibility_is_the_rule_applied_ad_by_ad(versions, requests, launch, spent, shown):
    launches = dict(zip(range(1, 5), launch, strict=True))
    table, trie = make_table(versions, launches)
    columns = zip(*requests, strict=True)
    names = ("age_bucket", "gender", "device", "geo_l2", "ts")
    context = make_context(**dict(zip(names, columns, strict=True)))
    row_S, rank_S = np.divmod(np.arange(len(requests) * trie.num_ads), trie.num_ads)
    found = eligible_ads(
        table,
        context,
        spent_today=np.full(trie.num_ads, spent),
        shown_today=ShownCounts(row_S, rank_S, np.full(row_S.size, shown)),
    )
    expected = [brute_force(versions, launches, request, spent, shown) for request in requests]
    assert found.tolist() == expected
