import json

import numpy as np
import pytest

from gpr_core.embeddings.bundle import load_encoder, save_encoder
from gpr_core.embeddings.item_encoder import fit_item_encoder
from gpr_core.support.errors import ArtifactError
from gpr_core.support.progress import Progress
from tests.gpr_core.embeddings.small_catalog import ROLES, make_items, make_rows

PROGRESS = Progress("test")


@pytest.fixture(scope="module")
def encoder():
    return fit_item_encoder(make_items(), ROLES, "hashed", 8, PROGRESS)[0]


@pytest.fixture
def folder(encoder, tmp_path):
    save_encoder(tmp_path / "encoder", encoder)
    return tmp_path / "encoder"


def test_a_loaded_encoder_gives_the_same_bits(encoder, folder):
    loaded = load_encoder(folder)
    items = make_items(make_rows(30))
    for ours, theirs in zip(
        loaded.encode(items, PROGRESS), encoder.encode(items, PROGRESS), strict=True
    ):
        assert np.array_equal(ours, theirs)
    assert loaded.version == encoder.version
    assert loaded.roles == ROLES


def test_saving_twice_and_after_loading_gives_equal_bytes(encoder, folder, tmp_path):
    save_encoder(tmp_path / "again", load_encoder(folder))
    for name in ("encoder.json", "encoder.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("name", ["encoder.json", "encoder.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ArtifactError, match=rf"(?s){name} is missing.*fix: "):
        load_encoder(folder)


def test_a_changed_array_is_noticed(folder):
    path = folder / "encoder.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArtifactError, match="encoder is corrupt"):
        load_encoder(folder)


def test_a_changed_setting_is_noticed(folder):
    meta = json.loads((folder / "encoder.json").read_text())
    meta["parts"][0]["weight"] = 2.0
    (folder / "encoder.json").write_text(json.dumps(meta))
    with pytest.raises(ArtifactError, match="encoder is corrupt"):
        load_encoder(folder)


def test_a_file_of_another_version_is_refused(folder):
    meta = json.loads((folder / "encoder.json").read_text())
    (folder / "encoder.json").write_text(json.dumps({**meta, "file_version": 99}))
    with pytest.raises(ArtifactError, match="encoder file has version 99, expected 1"):
        load_encoder(folder)
