"""Tokenizers on disk.

    codebooks.safetensors   c1..cL, [V_l, D] float32
    encoder.safetensors     weights of encoder and decoder; no tensor for RQ-KMeans
    tokenizer.json          kind, sizes and the version, a hash of the two files; written last

An id means something only together with the codebooks it was made with. So the version is computed
again on every load, and whoever holds ids passes the version that they were made with.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from gpr_core.support.errors import ArtifactError, suggest_name
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_file, hash_value
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import Tokenizer
from gpr_core.tokenizer.residual import Floats
from gpr_core.tokenizer.rq_kmeans import RQKMeans
from gpr_core.tokenizer.rq_kmeans_plus import RQKMeansPlus

_CODEBOOKS, _ENCODER, _META = "codebooks.safetensors", "encoder.safetensors", "tokenizer.json"
_CLASSES: Mapping[str, type[RQKMeans] | type[RQKMeansPlus]] = {
    RQKMeans.kind: RQKMeans,
    RQKMeansPlus.kind: RQKMeansPlus,
}


def make_tokenizer(config: TokenizationConfig) -> Tokenizer:
    """Make the unfitted tokenizer that a configuration asks for.

    Args:
        config: Kind and parameters.

    Returns:
        A tokenizer to be fitted.
    """
    return _CLASSES[config.kind](config)


def save_tokenizer(folder: Path, tokenizer: Tokenizer) -> str:
    """Write a fitted tokenizer.

    Args:
        folder: Existing or new folder.
        tokenizer: The tokenizer.

    Returns:
        Its version, 64 hex digits; equal tensors have equal versions.

    Raises:
        NotFittedError: If it was not fitted.
    """
    codebooks = tokenizer.codebooks
    folder.mkdir(parents=True, exist_ok=True)
    named = {f"c{level + 1}": centers_VD for level, centers_VD in enumerate(codebooks)}
    _write_tensors(folder / _CODEBOOKS, named)
    _write_tensors(folder / _ENCODER, tokenizer.encoder)
    meta = {
        "kind": tokenizer.kind,
        "num_levels": len(codebooks),
        "codebook_sizes": [len(centers_VD) for centers_VD in codebooks],
        "dim": int(codebooks[0].shape[1]),
    }
    version = _version(folder, meta)
    write_json(folder / _META, {**meta, "version": version})
    return version


def load_tokenizer(folder: Path, *, version: str | None = None) -> Tokenizer:
    """Read a tokenizer and check that it is the one it claims to be.

    Args:
        folder: Folder that `save_tokenizer` wrote.
        version: Version that is needed; None accepts any.

    Returns:
        The fitted tokenizer.

    Raises:
        ArtifactError: If a file is missing or changed, or the version is another one.
    """
    meta = read_version_file(folder)
    stored = meta.pop("version")
    for name in (_CODEBOOKS, _ENCODER):
        if not (folder / name).exists():
            raise ArtifactError(
                f"{name} is missing", where=str(folder), fix="run the step tokenization"
            )
    if _version(folder, meta) != stored:
        raise ArtifactError(
            "tokenizer is corrupt: its tensors differ from the version in tokenizer.json",
            where=str(folder),
            fix="restore the folder, or run the step tokenization",
        )
    if version is not None and version != stored:
        raise ArtifactError(
            f"tokenizer has version {stored}, expected {version}",
            where=str(folder),
            fix="use ids, model and tokenizer of one run",
        )
    kind = str(meta["kind"])
    if kind not in _CLASSES:
        raise ArtifactError(
            f"unknown tokenizer kind {kind!r}",
            where=str(folder / _META),
            fix=suggest_name(kind, _CLASSES),
        )
    tensors = load_file(folder / _CODEBOOKS)
    codebooks = tuple(tensors[f"c{level + 1}"] for level in range(len(tensors)))
    tokenizer = _CLASSES[kind](TokenizationConfig())
    tokenizer.restore(codebooks, load_file(folder / _ENCODER))
    return tokenizer


def read_version_file(folder: Path) -> dict[str, object]:
    """Read `tokenizer.json` without checking the tensors.

    Args:
        folder: Folder that `save_tokenizer` wrote.

    Returns:
        version, kind, num_levels, codebook_sizes, dim.

    Raises:
        ArtifactError: If the file is missing.
    """
    if not (folder / _META).exists():
        raise ArtifactError(
            "tokenizer.json is missing", where=str(folder), fix="run the step tokenization"
        )
    meta: dict[str, object] = read_json(folder / _META)
    return meta


def _write_tensors(path: Path, tensors: Mapping[str, Floats]) -> None:
    """Write named float32 tensors."""
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path)


def _version(folder: Path, meta: Mapping[str, object]) -> str:
    """Hash the tensors and what is needed to use them."""
    hashes = {name: hash_file(folder / name) for name in (_CODEBOOKS, _ENCODER)}
    return hash_value({"meta": dict(meta), "files": hashes})
