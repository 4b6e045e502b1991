"""Projections: which axes, which way round, and back again."""

from dataclasses import replace

import numpy as np
import pytest

from gpr_core.support.errors import ArtifactError, ConfigError, NotFittedError
from gpr_core.tokenizer.bundle import load_tokenizer, make_tokenizer, save_tokenizer
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.projection import ProjectedTokenizer
from gpr_core.tokenizer.protocol import ItemSample
from gpr_core.tokenizer.rq_kmeans import RQKMeans
from tests.conformance.tokenizer import make_items

CONFIG = TokenizationConfig(
    kind="rq_kmeans", num_levels=2, codebook_size=8, projection="pca", projection_dim=4
)
KINDS = ("pca", "orthogonal")


def fitted(config=CONFIG, *, train=None, seed=0):
    tokenizer = make_tokenizer(config)
    train = train or make_items(120)
    tokenizer.fit(train, train, seed=seed, threads=1)
    return tokenizer


def axes_of(tokenizer):
    return tokenizer.encoder["projection.axes_DE"]


def test_the_main_axis_is_the_direction_of_largest_weighted_variance():
    # Unweighted the spread is largest along (0, 1, 0); weights move it to (3, 0, 4) / 5.
    steep = np.outer([-1, 1], [-3, 0, -4])
    other = np.outer([-1, 1], [0, 6, 0])
    x = np.concatenate([steep, other]).astype(np.float32) + np.float32(7)
    train = ItemSample(x, np.array([2, 2, 1, 1], np.float32))
    config = replace(CONFIG, codebook_size=2, num_levels=1, projection_dim=1)
    tokenizer = fitted(config, train=train)
    assert np.allclose(axes_of(tokenizer), [[0.6], [0], [0.8]], atol=1e-6)
    assert np.allclose(tokenizer.encoder["projection.mean_D"], 7)
    even = fitted(config, train=train._replace(weight_M=np.ones(4, np.float32)))
    assert np.allclose(axes_of(even), [[0], [1], [0]], atol=1e-6)


def test_vectors_are_centered_at_their_weighted_mean():
    train = ItemSample(np.array([[0, 0], [4, 8]], np.float32), np.array([3, 1], np.float32))
    config = replace(CONFIG, codebook_size=2, num_levels=1, projection_dim=1)
    for projection in KINDS:
        tokenizer = fitted(replace(config, projection=projection), train=train)
        assert tokenizer.encoder["projection.mean_D"].tolist() == [1, 2]


@pytest.mark.parametrize("projection", KINDS)
def test_axes_have_unit_length_and_are_at_right_angles(projection):
    axes = axes_of(fitted(replace(CONFIG, projection=projection)))
    assert axes.shape == (6, 4)
    assert np.allclose(axes.T @ axes, np.eye(4), atol=1e-6)
    largest = np.abs(axes).argmax(0)
    assert (axes[largest, np.arange(4)] > 0).all(), "the sign is fixed"


@pytest.mark.parametrize("projection", KINDS)
def test_the_quantizer_sees_projected_vectors_and_the_way_back_is_the_transpose(projection):
    tokenizer = fitted(replace(CONFIG, projection=projection))
    mean, axes = tokenizer.encoder["projection.mean_D"], axes_of(tokenizer)
    plain, train = RQKMeans(CONFIG), make_items(120)
    narrow = (train.x_MD - mean) @ axes
    plain.fit(train._replace(x_MD=narrow), train, seed=0, threads=1)
    codes = tokenizer.encode(train.x_MD)
    assert codes.tolist() == plain.encode(narrow).tolist()
    rebuilt = plain.decode(codes) @ axes.T + mean
    assert np.allclose(tokenizer.decode(codes), rebuilt, atol=1e-6)


def test_nothing_is_lost_where_the_vectors_lie_in_the_axes():
    rng = np.random.Generator(np.random.PCG64(3))
    flat = rng.normal(size=(8, 2)) @ rng.normal(size=(2, 6)) + 1
    train = ItemSample(flat.astype(np.float32), np.ones(8, np.float32))
    tokenizer = fitted(replace(CONFIG, projection_dim=2), train=train)
    # Eight items and eight codes: the quantizer itself is exact.
    rebuilt = tokenizer.decode(tokenizer.encode(train.x_MD))
    assert np.allclose(rebuilt, train.x_MD, atol=1e-5)


def test_only_the_random_axes_depend_on_the_seed():
    for projection, is_equal in (("pca", True), ("orthogonal", False)):
        config = replace(CONFIG, projection=projection)
        first, second = fitted(config, seed=0), fitted(config, seed=1)
        assert np.array_equal(axes_of(first), axes_of(second)) == is_equal
        assert axes_of(fitted(config, seed=0)).tobytes() == axes_of(first).tobytes()


def test_a_projection_must_make_vectors_narrower():
    for dim in (6, 7):
        with pytest.raises(ConfigError, match=f"projection_dim is {dim} but .* width 6") as caught:
            fitted(replace(CONFIG, projection_dim=dim))
        assert "fix: use projection: none, or projection_dim < 6" in str(caught.value)


def test_the_projection_is_part_of_the_version(tmp_path):
    first = save_tokenizer(tmp_path / "a", fitted())
    assert save_tokenizer(tmp_path / "b", fitted()) == first
    tokenizer = fitted()
    tokenizer.encoder["projection.mean_D"][0] += 1e-3
    assert save_tokenizer(tmp_path / "c", tokenizer) != first
    loaded = load_tokenizer(tmp_path / "a")
    assert isinstance(loaded, ProjectedTokenizer)
    assert (loaded.projection, loaded.projection_dim) == ("pca", 4)


def test_tensors_without_a_projection_are_refused():
    plain = fitted(replace(CONFIG, projection="none"))
    with pytest.raises(ArtifactError, match=r"not those of projection pca: missing"):
        make_tokenizer(CONFIG).restore(plain.codebooks, plain.encoder)


def test_an_unfitted_projection_says_so():
    with pytest.raises(NotFittedError, match="has no codebooks yet"):
        _ = make_tokenizer(CONFIG).projection_dim
