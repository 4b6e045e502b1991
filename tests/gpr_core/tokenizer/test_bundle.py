"""Stored tokenizers are named by their content and refuse to be another."""

import subprocess
import sys
from pathlib import Path

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
from gpr_core.tokenizer.leaf_policy import LEAF_FILE, LeafRule
from tests.conformance.tokenizer import make_items

ROOT = Path(__file__).resolve().parents[3]
CONFIG = TokenizationConfig(num_levels=2, codebook_size=4, epochs=1, hidden_width=4)
KINDS = ("rq_kmeans", "rq_vae", "rq_vae_kmeans_init", "rq_kmeans_plus")


def fitted(kind="rq_kmeans", seed=0, **changes):
    tokenizer = make_tokenizer(
        TokenizationConfig(kind=kind, num_levels=2, codebook_size=4, epochs=1, **changes)
    )
    tokenizer.fit(make_items(40), make_items(10, seed=1), seed=seed, threads=1)
    return tokenizer


def versions(folder):
    """Versions of all kinds, with and without a projection."""
    return [
        save_tokenizer(folder / f"{kind} {projection}", fitted(kind, **projected))
        for kind in KINDS
        for projection in ("none", "pca", "orthogonal")
        for projected in [{"projection": projection, "projection_dim": 3}]
    ]


def test_the_kind_is_the_one_asked_for():
    for kind in KINDS:
        assert make_tokenizer(TokenizationConfig(kind=kind)).kind == kind
        projected = TokenizationConfig(kind=kind, projection="pca", projection_dim=3)
        assert make_tokenizer(projected).kind == kind
    assert make_tokenizer(TokenizationConfig()).kind == "rq_kmeans_plus"


def test_another_process_makes_the_same_tokenizers(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.gpr_core.tokenizer.test_bundle import versions\n"
        "print(versions(Path(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "there")],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    here = versions(tmp_path / "here")
    assert done.stdout.strip() == str(here)
    assert len(set(here)) == 12


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
        "codebook_sizes": [4, 4],
        "dim": 6,
        "projection": "none",
        "projection_dim": None,
    }


def test_the_version_file_holds_the_width_of_the_item_vectors(tmp_path):
    save_tokenizer(tmp_path, fitted("rq_vae", latent_width=5, projection="pca", projection_dim=4))
    meta = read_version_file(tmp_path)
    assert (meta["dim"], meta["projection"], meta["projection_dim"]) == (6, "pca", 4)
    tensors = load_file(tmp_path / "encoder.safetensors")
    assert tensors["projection.axes_DE"].shape == (6, 4)
    assert tensors["encoder.weight2_HD"].shape == (5, 128)
    assert load_file(tmp_path / "codebooks.safetensors")["c1"].shape == (4, 5)


def test_a_bundle_of_an_older_version_says_what_to_do(tmp_path):
    save_tokenizer(tmp_path, fitted())
    meta = read_json(tmp_path / "tokenizer.json")
    old = {key: meta[key] for key in ("version", "kind", "codebook_sizes", "dim")}
    write_json(tmp_path / "tokenizer.json", {**old, "num_levels": 2})
    with pytest.raises(ArtifactError, match=r"tokenizer\.json holds .*'num_levels'") as caught:
        load_tokenizer(tmp_path)
    assert "set run.champion: null to fit a new tokenizer" in str(caught.value)


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
    tokenizer.kind = "rq_forest"
    save_tokenizer(tmp_path, tokenizer)
    with pytest.raises(ArtifactError, match="found 'rq_forest', expected one of: rq_kmeans, rq_k"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("claimed", KINDS)
def test_a_bundle_that_claims_another_kind_is_refused(claimed, tmp_path):
    for kind in ("rq_kmeans", "rq_kmeans_plus", "rq_vae"):
        tokenizer = fitted(kind)
        tokenizer.kind = claimed
        save_tokenizer(tmp_path / kind, tokenizer)
        # The two RQ-VAE kinds differ in their start only and encode alike.
        if kind == claimed or (kind, claimed) == ("rq_vae", "rq_vae_kmeans_init"):
            continue
        with pytest.raises(ArtifactError, match=f"stored tensors are not those of {claimed}: "):
            load_tokenizer(tmp_path / kind)


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


def test_the_leaf_policy_is_part_of_the_version(tmp_path):
    plain = save_tokenizer(tmp_path / "plain", fitted())
    LeafRule(policy="hash_level", size=4).save(tmp_path / "hashed")
    hashed = save_tokenizer(tmp_path / "hashed", fitted())
    assert hashed != plain
    load_tokenizer(tmp_path / "hashed", version=hashed)
    (tmp_path / "hashed" / LEAF_FILE).unlink()
    with pytest.raises(ArtifactError, match="tokenizer is corrupt"):
        load_tokenizer(tmp_path / "hashed")
