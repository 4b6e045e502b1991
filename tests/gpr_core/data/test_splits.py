import numpy as np
import pytest

from gpr_core.data.splits import Split, balance_weights, split_clusters
from gpr_core.support.errors import ShapeError


def split(stratum, keys=None, seed=0):
    """Split with the default shares."""
    stratum_C = np.asarray(stratum)
    keys = np.arange(1, stratum_C.size + 1) if keys is None else np.asarray(keys)
    return split_clusters(
        stratum_C,
        keys.astype(np.uint64),
        held_out_share=0.2,
        inner_validation_share=0.1,
        seed=seed,
    )


def test_every_stratum_is_split_in_the_same_shares():
    split_C = split([1] * 100 + [2] * 50)
    counts = [
        np.bincount(split_C[part], minlength=3).tolist() for part in (slice(100), slice(100, 150))
    ]
    # 100: 20 held out, round(8.0) inner; 50: 10 held out, round(4.0) inner.
    assert counts == [[72, 8, 20], [36, 4, 10]]


def test_a_lonely_cluster_is_for_training():
    assert split([1, 2, 3]).tolist() == [Split.TRAIN] * 3


def test_a_new_cluster_moves_at_most_the_clusters_at_the_borders():
    before = split([1] * 60)
    after = split([1] * 61)
    assert (before != after[:60]).sum() <= 2


def test_the_order_of_the_clusters_does_not_matter():
    keys = np.arange(1, 41)
    backwards = split([1] * 40, keys[::-1])
    assert np.array_equal(split([1] * 40, keys), backwards[::-1])


def test_another_seed_gives_another_split():
    assert not np.array_equal(split([1] * 60), split([1] * 60, seed=1))


def test_weights_fall_with_the_root_of_the_category_size():
    category = np.array([5, 5, 5, 5, 9])
    weight_N = balance_weights(category, np.ones(5, dtype=bool), exponent=0.5, cap=10)
    # 4 ** -0.5 = 0.5 and 1; their mean over the five items is 0.6.
    assert weight_N == pytest.approx([0.5 / 0.6] * 4 + [1 / 0.6])
    assert weight_N.mean() == pytest.approx(1)


def test_the_ratio_of_two_weights_is_capped():
    category = np.array([0] * 900 + [1])
    weight_N = balance_weights(category, np.ones(901, dtype=bool), exponent=0.5, cap=10)
    assert weight_N[-1] / weight_N[0] == pytest.approx(10)


def test_items_that_are_not_counted_do_not_change_the_weights():
    category = np.array([0, 0, 1, 1, 1, 2])
    counted = np.array([True, True, True, False, False, False])
    weight_N = balance_weights(category, counted, exponent=1.0, cap=10)
    # Counts 2, 1, 0 (taken as 1): 0.5, 1, 1; mean over the counted three is 2/3.
    assert weight_N == pytest.approx([0.75, 0.75, 1.5, 1.5, 1.5, 1.5])


def test_different_lengths_are_refused():
    with pytest.raises(ShapeError, match="key_C has shape"):
        split([1, 1], [1])
    with pytest.raises(ShapeError, match="is_counted_N has shape"):
        balance_weights(np.array([1]), np.array([True, True]), exponent=1, cap=2)
