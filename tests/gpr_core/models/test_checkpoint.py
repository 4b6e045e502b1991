"""Tests of checkpoints."""

import pytest
import torch

from gpr_core.models.checkpoint import (
    CheckpointMeta,
    load_checkpoint,
    read_checkpoint_meta,
    save_checkpoint,
)
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_bytes, write_json
from gpr_core.support.hashing import hash_files
from tests.timelines import SMALL, make_batch, make_model

META = CheckpointMeta(tokenizer_version="tok-1", catalog_version="cat-1", parent=None)


def make_saved(folder):
    """Save a model with non-default buffers."""
    model = make_model()
    model.head_weights_J.copy_(torch.tensor([0.75, 0.25]))
    model.value_mean.fill_(1.5)
    model.value_std.fill_(0.5)
    save_checkpoint(folder, model, META)
    return model


def test_a_loaded_model_computes_the_same(tmp_path):
    model = make_saved(tmp_path)
    loaded = load_checkpoint(tmp_path, tokenizer_version="tok-1")
    batch = make_batch("UOEIOE")
    assert torch.equal(loaded.read(batch).readout_MD, model.read(batch).readout_MD)
    assert not loaded.training
    assert loaded.config == SMALL
    assert loaded.head_weights_J.tolist() == [0.75, 0.25]
    assert (loaded.value_mean.item(), loaded.value_std.item()) == (1.5, 0.5)


def test_the_same_model_gives_the_same_bytes(tmp_path):
    make_saved(tmp_path / "one")
    save_checkpoint(
        tmp_path / "two", load_checkpoint(tmp_path / "one", tokenizer_version="tok-1"), META
    )
    assert hash_files(tmp_path / "one") == hash_files(tmp_path / "two")
    assert sorted(hash_files(tmp_path / "one")) == [
        "checkpoint.json",
        "config.json",
        "weights.safetensors",
    ]


def test_the_meta_file_is_readable_by_people(tmp_path):
    make_saved(tmp_path)
    assert read_json(tmp_path / "checkpoint.json") == {
        "tokenizer_version": "tok-1",
        "catalog_version": "cat-1",
        "parent": None,
        "head_weights": [0.75, 0.25],
        "value_mean": 1.5,
        "value_std": 0.5,
    }
    assert read_checkpoint_meta(tmp_path) == META


def test_loading_leaves_the_random_stream_alone(tmp_path):
    make_saved(tmp_path)
    before = torch.get_rng_state()
    load_checkpoint(tmp_path, tokenizer_version="tok-1")
    assert torch.equal(torch.get_rng_state(), before)


def test_another_tokenizer_version_is_refused(tmp_path):
    make_saved(tmp_path)
    with pytest.raises(ArtifactError, match="speaks tokenizer tok-1, but codes come from tok-2"):
        load_checkpoint(tmp_path, tokenizer_version="tok-2")


@pytest.mark.parametrize("name", ["checkpoint.json", "config.json", "weights.safetensors"])
def test_a_missing_file_is_named(tmp_path, name):
    make_saved(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name} is missing"):
        load_checkpoint(tmp_path, tokenizer_version="tok-1")


def test_corrupt_files_are_refused(tmp_path):
    make_saved(tmp_path)
    write_bytes(tmp_path / "weights.safetensors", b"not weights")
    with pytest.raises(ArtifactError, match="not a safetensors file"):
        load_checkpoint(tmp_path, tokenizer_version="tok-1")
    write_bytes(tmp_path / "config.json", b"{")
    with pytest.raises(ArtifactError, match="not valid JSON"):
        load_checkpoint(tmp_path, tokenizer_version="tok-1")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("format_version", 0, "format_version is 0, expected 1"),
        ("codebook_sizes", [4, 3, 6], "weights do not fit config.json"),
        ("model", {"breadth": 8}, "unknown parameter 'breadth'"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(tmp_path, key, value, message):
    make_saved(tmp_path)
    config = read_json(tmp_path / "config.json")
    write_json(tmp_path / "config.json", {**config, key: value})
    with pytest.raises(ArtifactError, match=message):
        load_checkpoint(tmp_path, tokenizer_version="tok-1")


def test_a_meta_file_without_a_version_is_refused(tmp_path):
    make_saved(tmp_path)
    write_json(tmp_path / "checkpoint.json", {"catalog_version": "cat-1"})
    with pytest.raises(ArtifactError, match=r"checkpoint\.json has no tokenizer_version"):
        read_checkpoint_meta(tmp_path)
