"""Tokenizers on disk.

    codebooks.safetensors   c1..cL, [V_l, E] float32
    encoder.safetensors     weights of encoder and decoder, axes of the projection; may be empty
    leaf.json               leaf policy of the ids, written before; absent for the policy `value`
    tokenizer.json          kind, sizes, widths, projection and the version, a hash of all that;
                            written last

An id means something only together with the codebooks it was made with. So the version is computed
again on every load, and whoever holds ids passes the version that they were made with.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from gpr_core.support.config import load_section
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_file, hash_value
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.leaf_policy import LEAF_FILE
from gpr_core.tokenizer.projection import ProjectedTokenizer
from gpr_core.tokenizer.protocol import Tokenizer, check_tensor_names
from gpr_core.tokenizer.residual import Floats
from gpr_core.tokenizer.rq_kmeans import RQKMeans
from gpr_core.tokenizer.rq_kmeans_plus import RQKMeansPlus
from gpr_core.tokenizer.rq_vae import RQVAE, RQVAEKMeansInit

_CODEBOOKS, _ENCODER, _META = "codebooks.safetensors", "encoder.safetensors", "tokenizer.json"
_FIELDS = {"kind", "codebook_sizes", "dim", "projection", "projection_dim", "version"}
_CLASSES: Mapping[str, Callable[[TokenizationConfig], Tokenizer]] = {
    RQKMeans.kind: RQKMeans,
    RQKMeansPlus.kind: RQKMeansPlus,
    RQVAE.kind: RQVAE,
    RQVAEKMeansInit.kind: RQVAEKMeansInit,
}


def make_tokenizer(config: TokenizationConfig) -> Tokenizer:
    """Make the unfitted tokenizer that a configuration asks for.

    Args:
        config: Kind, projection and parameters.

    Returns:
        A tokenizer to be fitted.
    """
    tokenizer = _CLASSES[config.kind](config)
    return tokenizer if config.projection == "none" else ProjectedTokenizer(tokenizer, config)


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
    named = {f"c{level + 1}": centers_VE for level, centers_VE in enumerate(codebooks)}
    _write_tensors(folder / _CODEBOOKS, named)
    _write_tensors(folder / _ENCODER, tokenizer.encoder)
    projection, projection_dim = "none", None
    if isinstance(tokenizer, ProjectedTokenizer):
        projection, projection_dim = tokenizer.projection, tokenizer.projection_dim
    no_codes_ML = np.zeros((0, len(codebooks)), dtype=np.int16)
    meta = {
        "kind": tokenizer.kind,
        "codebook_sizes": [len(centers_VE) for centers_VE in codebooks],
        "dim": tokenizer.decode(no_codes_ML).shape[1],
        "projection": projection,
        "projection_dim": projection_dim,
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
        ArtifactError: If a file is missing or changed, the version is another one, or the tensors
            are those of another kind.
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
    choice = {name: meta[name] for name in ("kind", "projection")}
    try:
        config = load_section(TokenizationConfig, choice, where=str(folder / _META))
    except ConfigError as error:
        raise ArtifactError(error.what, where=error.where, fix=error.fix) from error
    tokenizer = make_tokenizer(config)
    tensors, encoder = load_file(folder / _CODEBOOKS), load_file(folder / _ENCODER)
    tokenizer.restore(tuple(tensors[f"c{level + 1}"] for level in range(len(tensors))), encoder)
    check_tensor_names(tokenizer.kind, encoder, tokenizer.encoder)
    return tokenizer


def read_version_file(folder: Path) -> dict[str, object]:
    """Read `tokenizer.json` without checking the tensors.

    Args:
        folder: Folder that `save_tokenizer` wrote.

    Returns:
        version; kind; codebook_sizes; dim, the width of item vectors; projection, or `none`;
        projection_dim, or None.

    Raises:
        ArtifactError: If the file is missing or does not hold exactly that.
    """
    if not (folder / _META).exists():
        raise ArtifactError(
            "tokenizer.json is missing", where=str(folder), fix="run the step tokenization"
        )
    meta: dict[str, object] = read_json(folder / _META)
    if meta.keys() != _FIELDS:
        raise ArtifactError(
            f"tokenizer.json holds {sorted(meta)}, expected {sorted(_FIELDS)}",
            where=str(folder),
            fix="another version of the project wrote it: set run.champion: null to fit a new "
            "tokenizer and train from scratch",
        )
    return meta


def _write_tensors(path: Path, tensors: Mapping[str, Floats]) -> None:
    """Write named float32 tensors."""
    save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path)


def _version(folder: Path, meta: Mapping[str, object]) -> str:
    """Hash the tensors, what is needed to use them, and the leaf policy that ids follow."""
    names = (_CODEBOOKS, _ENCODER, LEAF_FILE)
    hashes = {name: hash_file(folder / name) for name in names if (folder / name).exists()}
    return hash_value({"meta": dict(meta), "files": hashes})
