"""Residual k-means: errors fall, codes are used, weights matter."""

import numpy as np

from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.residual import residual_pass
from gpr_core.tokenizer.rq_kmeans import RQKMeans, weighted_kmeans
from tests.conformance.tokenizer import make_items


def cluster(x, num_codes, weight=None):
    weight = np.ones(len(x), np.float32) if weight is None else np.array(weight, np.float32)
    return weighted_kmeans(
        np.array(x, np.float32), weight, num_codes, iterations=20, seed=4, threads=1
    )


def test_separate_points_become_centers():
    centers = cluster([[0, 0], [9, 0], [0, 9], [0.5, 0]], 3)
    assert sorted(centers.tolist()) == [[0, 9], [0.25, 0], [9, 0]]


def test_a_center_is_the_weighted_mean():
    centers = cluster([[0.0], [1.0], [100.0]], 2, weight=[1, 3, 1])
    assert sorted(centers[:, 0].tolist()) == [0.75, 100.0]


def test_no_code_stays_empty_while_there_are_distinct_points():
    # Two far outliers and a dense cloud tempt k-means into leaving codes in the cloud unused.
    rng = np.random.Generator(np.random.PCG64(0))
    x = np.concatenate([rng.normal(size=(60, 2)) * 1e-3, [[500, 0], [0, 500]]]).astype(np.float32)
    centers = cluster(x, 30)
    assert np.unique(residual_pass(x, [centers]).code_ML).size == 30


def test_equal_points_share_a_code_and_leave_the_rest_unused():
    x = np.repeat(np.array([[1.0, 0], [0, 1]], np.float32), 5, axis=0)
    centers = cluster(x, 4)
    assert np.isfinite(centers).all()
    codes = residual_pass(x, [centers]).code_ML[:, 0]
    assert np.unique(codes).size == 2
    assert np.square(x - centers[codes]).sum() == 0


def test_the_error_falls_with_every_level_and_all_codes_are_used():
    items = make_items(400)
    tokenizer = RQKMeans(TokenizationConfig(num_levels=3, codebook_size=16))
    report = tokenizer.fit(items, items, seed=0, threads=1)
    assert report == ((), 0)
    assert tokenizer.encoder == {}
    errors = []
    for depth in range(4):
        rebuilt = residual_pass(items.x_MD, tokenizer.codebooks[:depth]).sum_MD if depth else 0
        errors.append(float(np.square(items.x_MD - rebuilt).sum(1).mean()))
    assert errors[0] > errors[1] > errors[2] > errors[3]
    codes = tokenizer.encode(items.x_MD)
    assert [np.unique(codes[:, level]).size for level in range(3)] == [16, 16, 16]


def test_another_seed_gives_other_codebooks():
    items = make_items(100)
    books = []
    for seed in (0, 1):
        tokenizer = RQKMeans(TokenizationConfig(codebook_size=16))
        tokenizer.fit(items, items, seed=seed, threads=1)
        books.append(tokenizer.codebooks[0])
    assert not np.array_equal(*books)
