"""Item encoders on disk.

    encoder.safetensors   all fitted arrays
    encoder.json          columns, parts and the version, a hash of everything; written last

The version is computed again on every load: vectors are only worth something together with the
encoder that made them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save

from gpr_core.embeddings.attributes import AttributeFeatures
from gpr_core.embeddings.columns import ColumnRoles
from gpr_core.embeddings.features import Features, Tensors
from gpr_core.embeddings.item_encoder import ItemEncoder, Part
from gpr_core.embeddings.ngrams import NgramFeatures
from gpr_core.embeddings.projection import Projection
from gpr_core.embeddings.sentences import SentenceFeatures
from gpr_core.embeddings.vectors import VectorFeatures
from gpr_core.support.config import load_section
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_bytes, write_json

_FILE_VERSION = 1
_TENSORS, _META = "encoder.safetensors", "encoder.json"
_FEATURES: Mapping[str, type[Features]] = {
    "ngrams": NgramFeatures,
    "sentences": SentenceFeatures,
    "attributes": AttributeFeatures,
    "vectors": VectorFeatures,
}


def save_encoder(folder: Path, encoder: ItemEncoder) -> None:
    """Write a fitted encoder; equal encoders are equal bytes.

    Args:
        folder: Existing or new folder.
        encoder: The encoder.
    """
    tensors = {name: np.ascontiguousarray(x) for name, x in encoder.tensors().items()}
    write_bytes(folder / _TENSORS, save(tensors))
    meta = {"file_version": _FILE_VERSION, "version": encoder.version, **encoder.settings()}
    write_json(folder / _META, meta)


def load_encoder(folder: Path) -> ItemEncoder:
    """Read an encoder and check that it is the one it claims to be.

    Args:
        folder: Folder that `save_encoder` wrote.

    Returns:
        The encoder; it gives the same vectors, bit by bit.

    Raises:
        ArtifactError: If a file is missing or changed, or of another version.
    """
    for name in (_META, _TENSORS):
        if not (folder / name).is_file():
            raise ArtifactError(
                f"{name} is missing", where=str(folder), fix="fit one with `gpr items embed`"
            )
    meta: dict[str, Any] = read_json(folder / _META)
    if meta.get("file_version") != _FILE_VERSION:
        raise ArtifactError(
            f"encoder file has version {meta.get('file_version')}, expected {_FILE_VERSION}",
            where=str(folder / _META),
            fix="fit the encoder again with `gpr items embed`",
        )
    tensors = load_file(folder / _TENSORS)
    encoder = ItemEncoder(
        roles=load_section(ColumnRoles, meta["roles"], where=str(folder / _META)),
        parts=tuple(_part(entry, _own(tensors, at)) for at, entry in enumerate(meta["parts"])),
    )
    if encoder.version != meta["version"]:
        raise ArtifactError(
            "encoder is corrupt: its arrays or settings differ from the version in encoder.json",
            where=str(folder),
            fix="restore the folder, or fit the encoder again with `gpr items embed`",
        )
    return encoder


def _own(tensors: Tensors, number: int) -> dict[str, Any]:
    """Take the arrays of one part."""
    prefix = f"{number}."
    return {
        name.removeprefix(prefix): array
        for name, array in tensors.items()
        if name.startswith(prefix)
    }


def _part(entry: Mapping[str, Any], tensors: dict[str, Any]) -> Part:
    """Make one part again."""
    projection = Projection(basis_FD=tensors["basis"], offset_D=tensors["offset"])
    return Part(
        name=entry["name"],
        side=entry["side"],
        weight=entry["weight"],
        features=_FEATURES[entry["features"]["kind"]].restore(entry["features"], tensors),
        projection=projection,
    )
