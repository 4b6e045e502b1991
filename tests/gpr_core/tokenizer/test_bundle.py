"""Stored tokenizers are named by their content and refuse to be another."""

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gpr_core.support.errors import ArtifactError, NotFittedError
from gpr_core.support.files import read_json, write_json
from gpr_core.tokenizer.bundle import (
    load_tokenizer,
    make_tokenizer,
    read_version_file,
    save_tokenizer,
)
from gpr_core.tokenizer.config import TokenizationConfig
from tests.conformance.tokenizer import make_items

CONFIG = TokenizationConfig(num_levels=2, codebook_size=4, epochs=1, hidden_width=4)


def fitted(kind="rq_kmeans", seed=0):
    tokenizer = make_tokenizer(
        TokenizationConfig(kind=kind, num_levels=2, codebook_size=4, epochs=1)
    )
    tokenizer.fit(make_items(40), make_items(10, seed=1), seed=seed, threads=1)
    return tokenizer


def test_the_kind_is_the_one_asked_for():
    assert make_tokenizer(TokenizationConfig(kind="rq_kmeans")).kind == "rq_kmeans"
    assert make_tokenizer(TokenizationConfig()).kind == "rq_kmeans_plus"


def test_equal_tensors_have_equal_versions(tmp_path):
    first = save_tokenizer(tmp_path / "a", fitted())
    assert save_tokenizer(tmp_path / "b", fitted()) == first
    assert save_tokenizer(tmp_path / "c", fitted(seed=1)) != first
    for name in ("codebooks.safetensors", "encoder.safetensors", "tokenizer.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_the_version_file_says_what_it_is(tmp_path):
    version = save_tokenizer(tmp_path, fitted())
    assert read_version_file(tmp_path) == {
        "version": version,
        "kind": "rq_kmeans",
        "num_levels": 2,
        "codebook_sizes": [4, 4],
        "dim": 6,
    }


def test_an_encoder_is_stored_with_its_codebooks(tmp_path):
    save_tokenizer(tmp_path, fitted("rq_kmeans_plus"))
    assert len(load_file(tmp_path / "encoder.safetensors")) == 8
    assert load_tokenizer(tmp_path).kind == "rq_kmeans_plus"


def test_changed_tensors_are_refused(tmp_path):
    save_tokenizer(tmp_path, fitted())
    tensors = load_file(tmp_path / "codebooks.safetensors")
    tensors["c1"] = tensors["c1"] + np.float32(1e-3)
    save_file(tensors, tmp_path / "codebooks.safetensors")
    with pytest.raises(ArtifactError, match="tokenizer is corrupt"):
        load_tokenizer(tmp_path)


def test_a_changed_description_is_refused(tmp_path):
    save_tokenizer(tmp_path, fitted())
    meta = read_json(tmp_path / "tokenizer.json")
    write_json(tmp_path / "tokenizer.json", {**meta, "kind": "rq_kmeans_plus"})
    with pytest.raises(ArtifactError, match="tokenizer is corrupt"):
        load_tokenizer(tmp_path)


def test_another_version_is_refused(tmp_path):
    version = save_tokenizer(tmp_path, fitted())
    with pytest.raises(ArtifactError, match=f"tokenizer has version {version}, expected other"):
        load_tokenizer(tmp_path, version="other")


def test_an_unknown_kind_is_refused(tmp_path):
    tokenizer = fitted()
    tokenizer.kind = "rq_vae"
    save_tokenizer(tmp_path, tokenizer)
    with pytest.raises(ArtifactError, match="unknown tokenizer kind 'rq_vae'"):
        load_tokenizer(tmp_path)


def test_missing_files_are_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is missing"):
        load_tokenizer(tmp_path)
    save_tokenizer(tmp_path, fitted())
    (tmp_path / "encoder.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"encoder\.safetensors is missing"):
        load_tokenizer(tmp_path)


def test_an_unfitted_tokenizer_is_not_stored(tmp_path):
    with pytest.raises(NotFittedError, match="has no codebooks yet"):
        save_tokenizer(tmp_path, make_tokenizer(CONFIG))
