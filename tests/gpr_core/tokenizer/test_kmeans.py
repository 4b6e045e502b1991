"""Weighted k-means: starts, stages, weights, empty codes, balance."""

import numpy as np
import pytest

from gpr_core.tokenizer import kmeans, nearest
from gpr_core.tokenizer.kmeans import balanced_codes, weighted_kmeans
from gpr_core.tokenizer.residual import residual_codes


def cluster(x, num_codes, weight=None, **options):
    x = np.array(x, np.float32)
    weight = np.ones(len(x), np.float32) if weight is None else np.array(weight, np.float32)
    return weighted_kmeans(
        x, weight, num_codes, **{"iterations": 20, "seed": 4, "threads": 1, **options}
    )


def make_points(num_points, *, seed=0, width=8, num_groups=40):
    """Groups of very uneven size."""
    rng = np.random.Generator(np.random.PCG64(seed))
    share = 1 / np.arange(1, num_groups + 1)
    group = rng.choice(num_groups, num_points, p=share / share.sum())
    centers = 2 * rng.normal(size=(num_groups, width))
    return (centers[group] + rng.normal(size=(num_points, width))).astype(np.float32)


def error_of(x, centers, codes):
    return float(np.square(x - centers[codes]).sum(1).mean())


@pytest.mark.parametrize("init", ["plus_plus", "random"])
def test_separate_points_become_centers(init):
    found = cluster([[0, 0], [9, 0], [0, 9], [0.5, 0]], 3, init=init)
    assert sorted(found.centers_VD.tolist()) == [[0, 9], [0.25, 0], [9, 0]]
    assert found.centers_VD[found.code_M].tolist() == [[0.25, 0], [9, 0], [0, 9], [0.25, 0]]


def test_a_center_is_the_weighted_mean():
    found = cluster([[0.0], [1.0], [100.0]], 2, weight=[1, 3, 1])
    assert sorted(found.centers_VD[:, 0].tolist()) == [0.75, 100.0]


@pytest.mark.parametrize("balanced", [False, True])
def test_no_code_stays_empty_while_there_are_distinct_points(balanced):
    # Two far outliers and a dense cloud tempt k-means into leaving codes in the cloud unused.
    rng = np.random.Generator(np.random.PCG64(0))
    x = np.concatenate([rng.normal(size=(60, 2)) * 1e-3, [[500, 0], [0, 500]]]).astype(np.float32)
    found = cluster(x, 30, balanced=balanced)
    assert np.unique(found.code_M).size == 30


def test_a_code_per_point_leaves_no_error():
    x = make_points(90)
    found = cluster(x, 90, init="random", iterations=1)
    assert error_of(x, *found) == 0


def test_equal_points_share_a_code_and_leave_the_rest_unused():
    # Of values and weights that float32 cannot add up exactly.
    x = np.repeat(np.array([[0.1, 0.7], [0.3, 0.2]], np.float32), 50, axis=0)
    found = cluster(x, 4, weight=np.linspace(0.1, 0.9, 100))
    assert np.isfinite(found.centers_VD).all()
    assert np.unique(found.code_M).size == 2
    assert error_of(x, *found) == 0


def test_codes_are_those_of_the_nearest_centers():
    x = make_points(3000)
    for balanced in (False, True):
        found = cluster(x, 16, balanced=balanced)
        assert found.code_M.tolist() == residual_codes(x, [found.centers_VD])[:, 0].tolist()


@pytest.mark.parametrize("balanced", [False, True])
def test_the_seed_decides_and_the_number_of_threads_does_not(balanced):
    # Enough points for both samples, for several chunks, and for several partial sums.
    x = make_points(20_000)
    weight = np.random.Generator(np.random.PCG64(1)).uniform(0.5, 2, len(x)).astype(np.float32)
    options = {"weight": weight, "iterations": 10, "balanced": balanced}
    one, again, other = (
        cluster(x, 16, **options, threads=threads, seed=seed)
        for threads, seed in ((1, 4), (3, 4), (1, 5))
    )
    assert one.centers_VD.tobytes() == again.centers_VD.tobytes()
    assert one.code_M.tobytes() == again.code_M.tobytes()
    assert one.centers_VD.tobytes() != other.centers_VD.tobytes()


def test_an_iteration_on_all_points_lowers_the_error():
    x = make_points(2000)
    errors = [error_of(x, *cluster(x, 20, iterations=steps)) for steps in (1, 3, 10, 40)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > errors[-1]


def test_plus_plus_starts_in_every_group_and_random_points_do_not():
    x = make_points(3000, width=3)
    groups = np.arange(20, dtype=np.float32)[:, None] * 100
    x = np.concatenate([groups[np.minimum(np.arange(3000) // 2, 19)], x], axis=1)
    stream = np.random.Generator(np.random.PCG64(0))
    visited = {
        start: np.unique(start(x, np.ones(len(x), np.float32), 20, stream)[:, 0]).size
        for start in (kmeans._start_plus_plus, kmeans._start_random)
    }
    # All but 38 points lie in the last group.
    assert visited[kmeans._start_plus_plus] == 20
    assert visited[kmeans._start_random] < 5


def test_plus_plus_minds_weights():
    # One of two far groups weighs next to nothing, so a third start never lies there.
    x = np.concatenate([np.linspace(0, 9, 50), np.linspace(100, 100.1, 50)])[:, None]
    weight = np.repeat(np.array([1, 1e-9], np.float32), 50)
    centers = kmeans._start_plus_plus(
        x.astype(np.float32), weight, 3, np.random.Generator(np.random.PCG64(0))
    )
    assert (centers < 50).sum() == 3


def test_iterations_are_shared_out_over_growing_samples():
    assert list(kmeans._stages(200_000, 256, 25)) == [(16_384, 10), (65_536, 7), (200_000, 8)]
    assert list(kmeans._stages(20_000, 256, 25)) == [(16_384, 10), (20_000, 15)]
    assert list(kmeans._stages(9000, 256, 25)) == [(9000, 25)]
    assert list(kmeans._stages(200_000, 256, 1)) == [(16_384, 0), (65_536, 0), (200_000, 1)]


def test_samples_cost_little_error():
    x = make_points(30_000, num_groups=200)
    staged = error_of(x, *cluster(x, 32, iterations=15))
    stages, kmeans._STAGES = kmeans._STAGES, ()
    try:
        full = error_of(x, *cluster(x, 32, iterations=15))
    finally:
        kmeans._STAGES = stages
    assert staged < 1.02 * full


@pytest.mark.parametrize(("num_points", "num_codes"), [(1000, 16), (1001, 16), (40, 40), (5, 2)])
def test_balanced_codes_respect_the_capacity(monkeypatch, num_points, num_codes):
    x = make_points(num_points)
    centers = x[:num_codes] + np.float32(0.1)
    codes = balanced_codes(x, centers, threads=2)
    counts = np.bincount(codes, minlength=num_codes)
    assert counts.max() <= -(-num_points // num_codes)
    assert counts.sum() == num_points
    monkeypatch.setattr(nearest, "BLOCK_CODES", 3)
    assert balanced_codes(x, centers, threads=1).tolist() == codes.tolist()


def test_the_point_with_most_to_lose_gets_the_scarce_code():
    # All want the first center; the third loses least by the second choice, the first most.
    x = np.array([[-2], [0], [1.9], [9]], np.float32)
    centers = np.array([[0], [4]], np.float32)
    assert balanced_codes(x, centers, threads=1).tolist() == [0, 0, 1, 1]


def test_balance_with_enough_room_is_the_nearest_center():
    x = np.array([[0], [1], [8], [9]], np.float32)
    assert balanced_codes(x, x[[0, 3]], threads=1).tolist() == [0, 0, 1, 1]


def test_balanced_centers_are_used_evenly_at_a_moderate_error():
    x = make_points(4000)
    plain, balanced = cluster(x, 32), cluster(x, 32, balanced=True)
    capacity = 4000 // 32
    assert np.bincount(balanced.code_M).max() < 2 * capacity < np.bincount(plain.code_M).max()
    capped = error_of(x, balanced.centers_VD, balanced_codes(x, balanced.centers_VD, threads=1))
    assert error_of(x, *plain) < error_of(x, *balanced) < capped < 1.5 * error_of(x, *plain)
