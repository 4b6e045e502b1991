import numpy as np
import pytest

from data_contracts.drift import (
    DayProfile,
    compare_last_day,
    jensen_shannon_distance,
    population_stability_index,
    robust_sigmas,
)
from tests.data_contracts.contracts import make_contract, raw_drift


def profile(day, counts, *, rows=100, version="1.2.3", mean=1.0):
    return DayProfile(
        contract="ads",
        version=version,
        day=f"2026-01-{day:02d}",
        rows=rows,
        histograms={"AD-050": counts},
        means={"AD-050": mean},
    )


def compare(history, last, **changes):
    contract = make_contract(drift=[raw_drift(**changes)])
    [result] = compare_last_day(contract, [*history, last])
    return result


def test_the_index_is_worked_out_by_hand():
    # Shares 0.75 and 0.25 against halves, after half a row is added to each bin.
    found = population_stability_index(np.array([1.0, 0.0]), np.array([4.0, 4.0]))
    assert found == pytest.approx(0.25 * np.log(1.5) - 0.25 * np.log(0.5))


def test_the_distance_is_worked_out_by_hand():
    # p = (3/4, 1/4), q = (1/2, 1/2), middle = (5/8, 3/8).
    p, q = np.array([0.75, 0.25]), np.array([0.5, 0.5])
    middle = (p + q) / 2
    divergence = (p @ np.log2(p / middle) + q @ np.log2(q / middle)) / 2
    found = jensen_shannon_distance(np.array([1.0, 0.0]), np.array([4.0, 4.0]))
    assert found == pytest.approx(np.sqrt(divergence))


def test_equal_shares_are_at_distance_zero_and_disjoint_ones_near_one():
    same = np.array([10.0, 10.0])
    assert jensen_shannon_distance(same, same) == 0.0
    far = jensen_shannon_distance(np.array([1e9, 0.0]), np.array([0.0, 1e9]))
    assert far == pytest.approx(1.0, abs=1e-3)


def test_sigmas_have_a_floor():
    constant = np.array([100.0, 100.0, 100.0])
    assert robust_sigmas(110.0, constant) == pytest.approx(2.0)
    assert robust_sigmas(110.0, constant, least_sigma=10.0) == pytest.approx(1.0)
    # Deviations from the median 100 are 10, 0, 30: their median is 10.
    assert robust_sigmas(70.0, np.array([90.0, 100.0, 130.0])) == pytest.approx(30 / 14.826)


def test_a_shift_fails_and_a_steady_day_passes():
    history = [profile(day, {"bin 00": 900, "bin 01": 100}) for day in range(1, 5)]
    steady = compare(history, profile(5, {"bin 00": 880, "bin 01": 120}))
    moved = compare(history, profile(5, {"bin 00": 300, "bin 01": 700}))
    assert steady.value < steady.limit == 0.25
    assert moved.value > moved.limit


def test_a_small_day_is_not_blamed_for_chance():
    history = [profile(day, {"bin 00": 5, "bin 01": 5}) for day in range(1, 5)]
    result = compare(history, profile(5, {"bin 00": 4, "bin 01": 1}))
    assert result.value > 0.25
    assert result.limit > result.value


def test_a_new_value_counts_as_a_bin():
    history = [profile(day, {"a": 1000}) for day in range(1, 5)]
    result = compare(history, profile(5, {"b": 1000}), method="js", bound=0.3)
    assert result.value > 0.9


def test_a_volume_is_compared_with_its_median():
    history = [profile(day, {}, rows=100) for day in range(1, 5)]
    result = compare(history, profile(5, {}, rows=150), column="rows", method="robust_sigma")
    # A day of 100 arrivals varies by 10 from chance alone.
    assert result.value == pytest.approx(5.0)


def test_a_mean_is_compared_with_its_median():
    history = [profile(day, {}, mean=2.0) for day in range(1, 5)]
    result = compare(history, profile(5, {}, mean=3.0), method="robust_sigma")
    assert result.value == pytest.approx(1.0 / 0.1)


def test_too_little_history_gives_no_value():
    history = [profile(1, {"bin 00": 9}), profile(2, {"bin 00": 9})]
    assert compare(history, profile(3, {"bin 00": 9})).value is None


def test_other_versions_and_older_days_do_not_count():
    old = [profile(day, {"bin 00": 9}, version="1.0.0") for day in range(1, 5)]
    assert compare(old, profile(5, {"bin 00": 9})).days == 0
    many = [profile(day, {"bin 00": 9}) for day in range(1, 9)]
    assert compare(many, profile(9, {"bin 00": 9}), window_days=4).days == 4


def test_days_without_rows_count_as_zero_in_the_volume_only():
    empty = [profile(day, {}, rows=0) for day in range(1, 4)]
    usual = [profile(day, {"bin 00": 100}) for day in (4, 5, 6)]
    today = DayProfile(
        contract="ads", version="1.2.3", day="2026-01-07", rows=0, histograms={}, means={}
    )
    volume = compare(usual, today, column="rows", method="robust_sigma")
    # A day of 100 arrivals varies by 10 from chance alone.
    assert volume.value == pytest.approx(10.0)
    assert compare(usual, today).value is None
    # The usual day of this table is empty; a few rows are no drift, a hundred are.
    quiet = compare(empty, profile(7, {}, rows=3), column="rows", method="robust_sigma")
    burst = compare(empty, profile(7, {}, rows=100), column="rows", method="robust_sigma")
    assert (quiet.value, burst.value) == (pytest.approx(3.0), pytest.approx(100.0))
