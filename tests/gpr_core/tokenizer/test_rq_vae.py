"""RQ-VAE: where its two kinds start, and that random codebooks collapse."""

from dataclasses import replace

import numpy as np
import pytest

from gpr_core.tokenizer.bundle import make_tokenizer
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.quality import code_usage
from gpr_core.tokenizer.rq_kmeans import RQKMeans
from gpr_core.tokenizer.rq_vae import RQVAE, RQVAEKMeansInit
from tests.conformance.tokenizer import make_items

CONFIG = TokenizationConfig(
    kind="rq_vae",
    num_levels=2,
    codebook_size=64,
    hidden_width=32,
    latent_width=8,
    epochs=40,
    batch_size=100,
    learning_rate=0.003,
)
TRAIN = make_items(600, width=16, num_groups=40)
VALIDATION = make_items(100, width=16, num_groups=40, seed=1)


def test_random_codebooks_collapse():
    usage = {}
    for kind in ("rq_kmeans", "rq_kmeans_plus", "rq_vae"):
        tokenizer = make_tokenizer(replace(CONFIG, kind=kind))
        tokenizer.fit(TRAIN, VALIDATION, seed=0, threads=1)
        usage[kind] = code_usage(tokenizer.encode(TRAIN.x_MD)[:, 0], CONFIG.codebook_size)
    assert usage["rq_kmeans"] == 1
    assert usage["rq_kmeans_plus"] > 0.95
    assert usage["rq_vae"] < 0.5


def test_a_baseline_that_uses_one_code_only_would_be_a_straw_man():
    tokenizer = RQVAE(CONFIG)
    report = tokenizer.fit(TRAIN, VALIDATION, seed=0, threads=1)
    assert report.curve[0].usage > 2 / CONFIG.codebook_size
    codes = tokenizer.encode(TRAIN.x_MD)
    error = np.square(TRAIN.x_MD - tokenizer.decode(codes)).sum()
    assert error < 0.3 * np.square(TRAIN.x_MD - TRAIN.x_MD.mean(0)).sum()


def test_the_random_start_is_normal_and_as_wide_as_what_the_encoder_gives():
    tokenizer = RQVAE(replace(CONFIG, codebook_size=500))
    network = tokenizer._start(TRAIN, VALIDATION, seed=0, threads=1)
    tokenizer._take_over(network)
    width = np.sqrt(np.square(tokenizer._apply("encoder", TRAIN.x_MD)).mean())
    first, second = (centers / width for centers in network.centers())
    assert first.shape == second.shape == (500, 8)
    assert not np.array_equal(first, second)
    assert np.mean(first) == pytest.approx(0, abs=0.1)
    assert np.std(first) == pytest.approx(1, abs=0.05)
    # 95 % of a normal distribution lie within 1.96 standard deviations.
    assert np.mean(np.abs(first) < 1.96) == pytest.approx(0.95, abs=0.02)


def test_the_clustered_start_is_k_means_of_what_the_encoder_gives():
    config = replace(CONFIG, kind="rq_vae_kmeans_init")
    network = RQVAEKMeansInit(config)._start(TRAIN, VALIDATION, seed=0, threads=1)
    random = RQVAE(CONFIG)._start(TRAIN, VALIDATION, seed=0, threads=1)
    for name, tensor in random.tensors().items():
        assert np.array_equal(network.tensors()[name], tensor), "both rows start with equal MLPs"
    tokenizer = RQVAEKMeansInit(config)
    tokenizer._take_over(network)
    latent = tokenizer._apply("encoder", TRAIN.x_MD)
    plain = RQKMeans(config)
    plain.fit(TRAIN._replace(x_MD=latent), VALIDATION, seed=0, threads=1)
    for center, expected in zip(network.centers(), plain.codebooks, strict=True):
        assert np.allclose(center, expected, atol=1e-5)


def test_layers_narrow_to_the_latent_width():
    network = RQVAE(CONFIG)._start(TRAIN, VALIDATION, seed=0, threads=1)
    shapes = [tuple(weight.shape) for weight in network.encoder.weights]
    assert shapes == [(64, 16), (32, 64), (8, 32)]
    shapes = [tuple(weight.shape) for weight in network.decoder.weights]
    assert shapes == [(32, 8), (64, 32), (16, 64)]
