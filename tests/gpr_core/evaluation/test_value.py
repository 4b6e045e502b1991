import numpy as np
import pytest

from gpr_core.evaluation.value import (
    list_value,
    ndcg,
    ordered_pair_rate,
    pooled_range,
    rank_correlation,
    scale,
)
from gpr_core.support.errors import ShapeError

NAN = float("nan")
ALL = np.ones((1, 3), dtype=bool)
# Discounts 1 / log2(rank + 1): 1, 0.63093, 0.5.
D2, D3 = 1 / np.log2(3), 0.5


def test_ndcg_of_a_known_order():
    # Order by score: gains 1, 3, 2. Ideal: 3, 2, 1.
    score, gain = np.array([[9.0, 8.0, 7.0]]), np.array([[1.0, 3.0, 2.0]])
    expected = (1 + 3 * D2 + 2 * D3) / (3 + 2 * D2 + 1 * D3)
    assert ndcg(score, gain, ALL).tolist() == pytest.approx([expected])


def test_ndcg_averages_gains_over_equal_scores():
    # The two first places are tied with gains 4 and 0: each place expects 2.
    score, gain = np.array([[5.0, 5.0, 1.0]]), np.array([[4.0, 0.0, 1.0]])
    expected = (2 + 2 * D2 + 1 * D3) / (4 + 1 * D2)
    assert ndcg(score, gain, ALL).tolist() == pytest.approx([expected])
    assert ndcg(score, gain[:, [1, 0, 2]], ALL).tolist() == pytest.approx([expected])


def test_ndcg_skips_pools_without_gain_and_ignores_padding():
    score = np.array([[1.0, 2.0, 99.0], [1.0, 2.0, 3.0]])
    gain = np.array([[1.0, 0.0, 99.0], [0.0, 0.0, 0.0]])
    mask = np.array([[True, True, False], [True, True, True]])
    assert ndcg(score, gain, mask).tolist() == pytest.approx([D2, NAN], nan_ok=True)


def test_opr_counts_right_pairs_and_half_of_ties():
    # Pairs by gain: (2>1) scores 3>2 right; (3>1) scores 3 = 3... worked out below.
    gain = np.array([[10.0, 20.0, 30.0]])
    score = np.array([[3.0, 3.0, 1.0]])
    # 20>10: tie 0.5; 30>10: 1<3 wrong; 30>20: 1<3 wrong.
    assert ordered_pair_rate(score, gain, ALL).tolist() == pytest.approx([0.5 / 3])
    assert ordered_pair_rate(gain, gain, ALL).tolist() == [1.0]
    assert ordered_pair_rate(-gain, gain, ALL).tolist() == [0.0]


def test_opr_ignores_pairs_whose_gains_nearly_agree_and_padding():
    gain = np.array([[100.0, 99.5, 50.0]])
    # 100 against 99.5 is a gap of 0.5 %: only the pairs with 50 count, both right.
    assert ordered_pair_rate(np.array([[1.0, 9.0, 0.0]]), gain, ALL).tolist() == [1.0]
    mask = np.array([[True, True, False]])
    result = ordered_pair_rate(np.array([[1.0, 9.0, 0.0]]), gain, mask)
    assert np.isnan(result).tolist() == [True]


def test_opr_treats_two_unreachable_ads_as_tied():
    score = np.array([[-np.inf, -np.inf, 0.0]])
    gain = np.array([[2.0, 1.0, 3.0]])
    assert ordered_pair_rate(score, gain, ALL).tolist() == pytest.approx([2.5 / 3])


def test_opr_is_the_same_in_chunks():
    stream = np.random.Generator(np.random.PCG64(5))
    score, gain = stream.normal(size=(600, 4)), stream.uniform(1, 2, size=(600, 4))
    mask = np.ones((600, 4), dtype=bool)
    whole = ordered_pair_rate(score, gain, mask)
    single = np.concatenate(
        [ordered_pair_rate(score[i : i + 1], gain[i : i + 1], mask[:1]) for i in range(600)]
    )
    assert np.array_equal(whole, single)


def test_list_value_averages_what_exists_and_reports_coverage():
    value = np.array([[4.0, -2.0], [6.0, 99.0], [0.0, 0.0]])
    is_ad = np.array([[True, True], [True, False], [False, False]])
    result = list_value(value, is_ad, asked=4)
    assert result.mean_B.tolist() == pytest.approx([1.0, 6.0, NAN], nan_ok=True)
    assert result.max_B.tolist() == pytest.approx([4.0, 6.0, NAN], nan_ok=True)
    assert result.coverage_B.tolist() == [0.5, 0.25, 0.0]


def test_lists_longer_than_asked_are_refused():
    with pytest.raises(ShapeError, match="every method was asked for 1"):
        list_value(np.zeros((1, 2)), np.ones((1, 2), dtype=bool), asked=1)


def test_pooled_range_spans_all_methods_and_ignores_padding():
    values = {
        "a": (np.array([[1.0, 50.0]]), np.array([[True, False]])),
        "b": (np.array([[-3.0, 7.0]]), np.array([[True, True]])),
    }
    assert pooled_range(values) == (-3.0, 7.0)
    assert pooled_range({}) == (0.0, 1.0)


def test_clipped_range_cuts_percentiles_off():
    values = {"a": (np.arange(101.0)[None, :], np.ones((1, 101), dtype=bool))}
    assert pooled_range(values, clip_percent=1.0) == (1.0, 99.0)


def test_scale_clips_and_keeps_missing_values():
    scaled = scale(np.array([-1.0, 0.0, 5.0, 20.0, NAN]), 0.0, 10.0)
    assert scaled.tolist() == pytest.approx([0.0, 0.0, 0.5, 1.0, NAN], nan_ok=True)
    assert scale(np.array([3.0, NAN]), 3.0, 3.0).tolist() == pytest.approx([0.0, NAN], nan_ok=True)


def test_rank_correlation_of_known_orders():
    left = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [1.0, 1.0, 2.0]])
    right = np.array([[10.0, 20.0, 90.0], [9.0, 5.0, 1.0], [1.0, 2.0, 3.0], [3.0, 4.0, 5.0]])
    # Last row: ranks (0.5, 0.5, 2) against (0, 1, 2): 1.5 / sqrt(1.5 * 2).
    expected = [1.0, -1.0, NAN, 1.5 / np.sqrt(3.0)]
    mask = np.ones((4, 3), dtype=bool)
    assert rank_correlation(left, right, mask).tolist() == pytest.approx(expected, nan_ok=True)


def test_rank_correlation_ignores_padding():
    left, right = np.array([[1.0, 2.0, 0.0]]), np.array([[1.0, 2.0, 99.0]])
    assert rank_correlation(left, right, np.array([[True, True, False]])).tolist() == [1.0]


def test_arrays_of_another_pool_are_refused():
    with pytest.raises(ShapeError, match="second_BP"):
        ndcg(np.zeros((1, 3)), np.zeros((1, 2)), ALL)
