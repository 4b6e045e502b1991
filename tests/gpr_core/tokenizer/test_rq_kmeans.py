"""Residual k-means: errors fall with every level, codes are used, options reach k-means."""

from dataclasses import replace

import numpy as np
import pytest

from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.residual import residual_pass
from gpr_core.tokenizer.rq_kmeans import RQKMeans
from tests.conformance.tokenizer import make_items

CONFIG = TokenizationConfig(num_levels=3, codebook_size=16)


def fitted(config, items, *, seed=0):
    tokenizer = RQKMeans(config)
    assert tokenizer.fit(items, items, seed=seed, threads=1) == ((), 0)
    return tokenizer


def largest_group(tokenizer, items):
    """Items of the most popular first code."""
    return np.bincount(tokenizer.encode(items.x_MD)[:, 0]).max()


def test_the_error_falls_with_every_level():
    items = make_items(400)
    tokenizer = fitted(CONFIG, items)
    assert tokenizer.encoder == {}
    errors = []
    for depth in range(4):
        rebuilt = residual_pass(items.x_MD, tokenizer.codebooks[:depth]).sum_MD if depth else 0
        errors.append(float(np.square(items.x_MD - rebuilt).sum(1).mean()))
    assert errors[0] > errors[1] > errors[2] > errors[3]


@pytest.mark.parametrize("init", ["plus_plus", "random"])
@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize(("num_items", "num_codes"), [(400, 16), (60, 60), (3000, 256)])
def test_training_items_use_every_code_of_every_level(init, balanced, num_items, num_codes):
    items = make_items(num_items)
    config = replace(
        CONFIG,
        codebook_size=num_codes,
        num_levels=2 if num_items > num_codes else 1,
        kmeans_init=init,
        kmeans_balanced=balanced,
    )
    codes = fitted(config, items).encode(items.x_MD)
    assert [np.unique(codes_M).size for codes_M in codes.T] == [num_codes] * config.num_levels


def test_another_seed_gives_other_codebooks():
    items = make_items(100)
    one, other = (fitted(CONFIG, items, seed=seed).codebooks[0] for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_options_of_kmeans_are_used():
    items = make_items(400)
    plain = fitted(CONFIG, items)
    balanced = fitted(replace(CONFIG, kmeans_balanced=True), items)
    assert largest_group(balanced, items) < largest_group(plain, items)
    started_elsewhere = fitted(replace(CONFIG, kmeans_init="random"), items)
    assert not np.array_equal(started_elsewhere.codebooks[0], plain.codebooks[0])


def test_training_and_encoding_leave_the_same_residual():
    items = make_items(300)
    tokenizer = fitted(replace(CONFIG, num_levels=2), items)
    first = RQKMeans(replace(CONFIG, num_levels=1))
    first.fit(items, items, seed=0, threads=1)
    assert np.array_equal(first.codebooks[0], tokenizer.codebooks[0])
    left = items.x_MD - residual_pass(items.x_MD, first.codebooks).sum_MD
    codes = residual_pass(left, tokenizer.codebooks[1:]).code_ML[:, 0]
    assert codes.tolist() == tokenizer.encode(items.x_MD)[:, 1].tolist()
