"""Every tokenizer keeps the protocol; the checks of training samples."""

from dataclasses import replace

import numpy as np
import pytest

from gpr_core.support.errors import ArtifactError, ConfigError, ShapeError
from gpr_core.tokenizer import protocol
from gpr_core.tokenizer.bundle import make_tokenizer
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import ItemSample, check_sample, check_tensor_names, row_chunks
from tests.conformance.tokenizer import CHECKS, STORAGE_CHECKS, make_items

CONFIG = TokenizationConfig(
    kind="rq_kmeans",
    num_levels=3,
    codebook_size=8,
    hidden_width=16,
    latent_width=8,
    epochs=8,
    batch_size=50,
    kmeans_iterations=10,
    projection_dim=5,
)
VAE = replace(CONFIG, kind="rq_vae", epochs=40, learning_rate=0.01)
PLUS = replace(CONFIG, kind="rq_kmeans_plus")
CONFIGS = {
    "rq_kmeans": CONFIG,
    "rq_vae": VAE,
    "rq_vae_kmeans_init": replace(VAE, kind="rq_vae_kmeans_init"),
    "rq_kmeans_plus": PLUS,
    "rq_kmeans on pca": replace(CONFIG, projection="pca"),
    "rq_kmeans_plus on orthogonal": replace(PLUS, projection="orthogonal"),
}


@pytest.fixture(params=CONFIGS)
def make(request):
    return lambda: make_tokenizer(CONFIGS[request.param])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_tokenizer_keeps_the_protocol(check, make):
    check(make)


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=lambda check: check.__name__)
def test_a_stored_tokenizer_keeps_the_protocol(check, make, tmp_path):
    check(make, tmp_path)


def test_the_tensors_of_another_kind_are_named():
    with pytest.raises(ArtifactError, match=r"not those of x: missing \['b'\], unknown \['c'\]"):
        check_tensor_names("x", ["a", "c"], ["a", "b"])


def test_chunks_cover_every_row_once(monkeypatch):
    monkeypatch.setattr(protocol, "_CHUNK_ROWS", 4)
    assert [list(range(10))[rows] for rows in row_chunks(10)] == [
        [0, 1, 2, 3],
        [4, 5, 6, 7],
        [8, 9],
    ]
    assert row_chunks(0) == []


def test_a_training_sample_needs_positive_weights():
    items = make_items(10)
    with pytest.raises(ConfigError, match="1 training weights are not positive"):
        check_sample(items._replace(weight_M=np.r_[items.weight_M[:9], 0]), 4)


def test_a_training_sample_needs_a_weight_per_item():
    with pytest.raises(ShapeError, match="weight_M has shape"):
        check_sample(ItemSample(make_items(10).x_MD, np.ones(9, np.float32)), 4)


def test_the_message_names_the_parameter_and_the_bound():
    with pytest.raises(ConfigError, match="codebook_size") as caught:
        check_sample(make_items(400), 512)
    assert str(caught.value).splitlines() == [
        "codebook_size is 512 but only 400 training items exist",
        "  where: params.yaml tokenization.codebook_size",
        "  fix: use <= 400, or more data",
    ]
