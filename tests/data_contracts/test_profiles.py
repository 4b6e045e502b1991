from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.load import load_contract
from data_contracts.profiles import history_days, profile_days, profile_partitions
from tests.data_contracts.contracts import make_contract, raw_drift
from tests.data_contracts.valid_tables import valid_tables

DAY = 86_400_000
TODAY = date(2026, 1, 5)


def make_rows(ts, price):
    keys = pa.array(np.arange(1, len(ts) + 1), pa.uint64())
    return pa.table(
        {"ad_key": keys, "ts": pa.array(ts, pa.int64()), "price": pa.array(price, pa.float64())}
    )


def test_days_are_profiled_apart():
    contract = make_contract(
        drift=[
            raw_drift(),
            raw_drift(id="AD-051", method="js", edges=[7.0]),
            raw_drift(id="AD-052", method="robust_sigma"),
        ]
    )
    table = make_rows([0, 5, DAY, DAY + 1], [0.5, 1.0, 2.5, None])
    first, second = profile_days(contract, table)
    assert (first.day, first.rows, second.day, second.rows) == ("1970-01-01", 2, "1970-01-02", 2)
    # Edges 1 and 2: below 1, from 1 to below 2, from 2 on.
    assert first.histograms["AD-050"] == {"bin 00": 1, "bin 01": 1}
    assert second.histograms["AD-050"] == {"bin 02": 1, "null": 1}
    assert second.histograms["AD-051"] == {"bin 00": 1, "null": 1}
    assert (first.means, second.means) == ({"AD-052": 0.75}, {"AD-052": 2.5})


def test_categories_are_counted_by_value():
    rule = raw_drift()
    del rule["edges"]
    contract = make_contract(drift=[rule])
    [only] = profile_days(contract, make_rows([0, 1, 2], [3.0, 4.0, 3.0]))
    assert only.histograms == {"AD-050": {"3": 2, "4": 1}}


def test_a_partition_is_profiled_under_its_day_whatever_its_rows_say():
    contract = make_contract(drift=[raw_drift()])
    [found] = profile_partitions(contract, {TODAY: make_rows([0, 5 * DAY], [0.5, 0.5])})
    assert (found.day, found.rows, found.histograms) == (
        "2026-01-05", 2, {"AD-050": {"bin 00": 2}},
    )  # fmt: skip


def test_a_day_without_rows_has_a_volume_of_zero_and_no_shape():
    contract = make_contract(
        drift=[raw_drift(), raw_drift(id="AD-051", method="robust_sigma")],
    )
    [found] = profile_partitions(contract, {TODAY: make_rows([], [])})
    assert (found.rows, found.histograms, found.means) == (0, {}, {})


def test_a_column_of_nulls_has_no_mean():
    contract = make_contract(drift=[raw_drift(method="robust_sigma")])
    [found] = profile_partitions(contract, {TODAY: make_rows([0], [None])})
    assert found.means == {}


def test_rows_without_a_time_belong_to_no_day():
    contract = make_contract(drift=[raw_drift()])
    [only] = profile_days(contract, make_rows([0, None], [0.5, 0.5]))
    assert only.rows == 1


def test_partitions_are_profiled_together_as_they_are_apart():
    contract, table = load_contract("embeddings"), valid_tables()["embeddings"]
    days = [TODAY, date(2026, 1, 6), date(2026, 1, 7)]
    parts = dict(zip(days, (table.slice(0, 2), table.slice(2, 0), table.slice(2, 3)), strict=True))
    together = profile_partitions(contract, parts)
    assert together == [
        profile for day in days for profile in profile_partitions(contract, {day: parts[day]})
    ]
    assert [profile.rows for profile in together] == [2, 0, 3]
    lengths = [np.linalg.norm(np.float64(vector)) for vector in parts[TODAY]["x_text"].to_pylist()]
    assert together[0].means["EM-050"] == pytest.approx(np.mean(lengths))


def test_no_partitions_have_no_profiles():
    assert profile_partitions(load_contract("embeddings"), {}) == []


def test_a_table_is_profiled_as_far_back_as_a_rule_looks():
    contract = make_contract(
        drift=[raw_drift(window_days=3), raw_drift(id="AD-051", window_days=2)]
    )
    table = make_rows([day * DAY for day in range(9)], [0.5] * 9)
    assert history_days(contract) == 3
    assert [item.day[-2:] for item in profile_days(contract, table)] == ["06", "07", "08", "09"]


def test_a_table_without_drift_rules_needs_no_profiles():
    assert history_days(make_contract()) == 0
    assert profile_days(make_contract(), make_rows([0], [0.5])) == []
