from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.tables import DAY_MS
from gpr_core.evaluation.next_day import (
    Exposures,
    choose_requests,
    illegal_by_rules,
    shown_impressions,
)
from gpr_core.simulation.snapshot import load_snapshot
from gpr_core.support.errors import ContractError
from tests.lake_rows import make_impression, make_lake_tables, make_request
from tests.mini_day import CUTOFF, NEW_ADS
from tests.thoughts import make_thoughts


@pytest.fixture(scope="module")
def day(mini_day):
    return mini_day.prepare()


def make_exposures():
    # User 5 saw ads 1, 2, 1 at times 10, 20, 30; user 7 saw ad 3 at time 20.
    return Exposures(
        user_M=np.array([5, 5, 5, 7]),
        ts_M=np.array([10, 20, 30, 20]),
        rank_M=np.array([1, 2, 1, 3]),
    )


def test_recent_ads_come_latest_first_and_only_from_before_the_request():
    users, times = np.array([5, 5, 5, 7, 6]), np.array([31, 30, 10, 99, 99])
    expected = [[1, 2], [2, 1], [-1, -1], [3, -1], [-1, -1]]
    assert make_exposures().recent(users, times, 2).tolist() == expected


def test_nobody_saw_anything():
    nothing = np.empty(0, dtype=np.int64)
    empty = Exposures(user_M=nothing, ts_M=nothing, rank_M=nothing)
    assert empty.recent(np.array([5]), np.array([9]), 2).tolist() == [[-1, -1]]


def test_exposures_before_a_cutoff_leave_the_next_day_out():
    assert make_exposures().before(20).rank_M.tolist() == [1]


def test_synthetic_requests_are_never_chosen():
    decisions = pa.table(
        {
            "request_key": pa.array([1, 2, 3], pa.uint64()),
            "ts": [30, 20, 10],
            "is_synthetic": [False, True, False],
        }
    )
    chosen = choose_requests(decisions, max_requests=9, seed=0)
    assert chosen["request_key"].to_pylist() == [3, 1]


def test_a_sample_of_requests_does_not_depend_on_the_others():
    keys = np.arange(1, 101).astype(np.uint64)
    table = pa.table(
        {"request_key": keys, "ts": keys.astype(np.int64), "is_synthetic": np.zeros(100, bool)}
    )
    ten = choose_requests(table, max_requests=10, seed=0)["request_key"].to_pylist()
    half = table.filter(pa.array(np.isin(keys, [*ten, *range(1, 40)])))
    again = choose_requests(half, max_requests=10, seed=0)["request_key"].to_pylist()
    assert len(ten) == 10
    assert again == ten


def test_impressions_carry_their_user_and_rehearsed_ones_are_left_out():
    tables = make_lake_tables(
        requests=[
            make_request(41, ts=5, user=8),
            make_request(42, ts=6, user=9) | {"is_synthetic": True},
        ],
        impressions=[
            make_impression(1, request=42, ts=7),
            make_impression(2, request=41, ts=8, ad=77),
            make_impression(3, request=99, ts=9),
        ],
    )
    assert shown_impressions(tables).to_pylist() == [
        {"user_key": 8, "ad_key": 77, "ts": 8, "price_micros": 900}
    ]


def test_a_lake_without_impressions_is_refused():
    with pytest.raises(ContractError, match="no impression with a known request"):
        shown_impressions(make_lake_tables())


def test_the_day_holds_the_requests_of_the_next_day_in_order(day):
    ts = day.column("ts")
    assert ts.size > 5
    assert (ts >= CUTOFF).all()
    assert (np.diff(ts) >= 0).all()


def test_ads_that_launch_on_the_day_are_in_the_catalog_and_eligible_after_launch(day):
    trie = day.catalog.catalog.trie
    ranks = trie.rank_of_ads(np.array(NEW_ADS)).numpy()
    assert (ranks >= 0).all()
    assert day.catalog.num_new == len(NEW_ADS)
    assert day.eligible_BA[:, ranks].all()


def test_truth_is_the_shown_ad_and_was_eligible(day):
    keys = day.catalog.catalog.ads.ad_key_A[day.truth_B]
    assert keys.tolist() == day.column("ad_key").tolist()
    assert day.truth_eligible().all()


def test_an_ad_is_new_to_a_user_exactly_once(day, mini_day):
    shown = shown_impressions(mini_day.curated.canonical)
    seen = list(
        zip(*(shown[name].to_pylist() for name in ("user_key", "ad_key", "ts")), strict=True)
    )
    for row in range(day.requests.num_rows):
        user, ad, ts = (int(day.column(name)[row]) for name in ("user_key", "ad_key", "ts"))
        before = [known for known in seen if known[:2] == (user, ad) and known[2] < ts]
        assert bool(day.is_new_B[row]) == (not before)


def test_counts_of_earlier_impressions_agree_with_the_log(day, mini_day):
    shown = shown_impressions(mini_day.curated.canonical).to_pylist()
    user, ts = int(day.column("user_key")[-1]), int(day.column("ts")[-1])
    expected = np.zeros(day.eligible_BA.shape[1], dtype=int)
    for row in shown:
        if row["user_key"] == user and row["ts"] < ts:
            expected[day.catalog.catalog.trie.rank_of_ads(np.array([row["ad_key"]]))[0]] += 1
    assert day.shown.dense(*day.eligible_BA.shape)[-1].tolist() == expected.tolist()


def test_fitted_rates_stay_those_of_the_snapshot(day, mini_day):
    frozen = load_snapshot(
        mini_day.root / "snapshot", tokenizer_version=day.catalog.tokenizer_version
    )
    assert day.simulator.snapshot.features.base_rates == frozen.features.base_rates


def test_illegal_pairs_are_found_by_the_second_computation(day):
    new = int(day.catalog.catalog.trie.rank_of_ads(np.array(NEW_ADS[:1]))[0])
    rows, ranks = np.zeros(2, dtype=np.int64), np.array([0, new])
    assert illegal_by_rules(day, rows, ranks).tolist() == [False, False]
    # On the day before its launch the new ad may not serve, whatever the mask says.
    place = day.requests.schema.get_field_index("ts")
    yesterday = pa.array(np.full(day.requests.num_rows, CUTOFF - 1))
    early = replace(day, requests=day.requests.set_column(place, "ts", yesterday))
    assert illegal_by_rules(early, rows, ranks).tolist() == [False, True]
    # A budget or a cap is known to the mask only.
    capped = replace(day, eligible_BA=np.zeros_like(day.eligible_BA))
    assert illegal_by_rules(capped, rows, ranks).tolist() == [True, True]


def test_timelines_in_the_ids_of_another_tokenizer_keep_what_was_said(mini_day, day):
    users = np.unique(mini_day.curated.timelines["user_key"].to_numpy()).tolist()
    said = make_thoughts(*[(user, CUTOFF // DAY_MS, [7]) for user in users])
    told = replace(day, thoughts=said).store_in(day.catalog)
    keys = day.column("request_key")
    assert told.prefix_batch(keys, 32).thought_BRP.tolist() == [[[7]]] * len(keys)
    assert day.store_in(day.catalog).thoughts is None
