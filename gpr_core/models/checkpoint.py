"""Checkpoints: three files that are all a process needs to run a model.

config.json          architecture and codebook sizes
weights.safetensors  all weights and buffers; the same model gives the same bytes
checkpoint.json      tokenizer and catalog it belongs to, its parent, head weights, value units
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError

from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.support.config import load_section, to_mapping
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.support.files import read_json, write_bytes, write_json

_FORMAT_VERSION = 1
_CONFIG, _WEIGHTS, _META = "config.json", "weights.safetensors", "checkpoint.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointMeta:
    """What a checkpoint belongs to.

    Attributes:
        tokenizer_version: Version whose semantic ids the model speaks.
        catalog_version: Catalog it was trained with.
        parent: What training started from, a hash or a version; None for a fresh start.
    """

    tokenizer_version: str
    catalog_version: str
    parent: str | None


def save_checkpoint(folder: Path, model: GPR, meta: CheckpointMeta) -> None:
    """Write a model; `checkpoint.json` comes last, so its presence means complete.

    Args:
        folder: Where to write; made if needed.
        model: The model, on any device.
        meta: What it belongs to.
    """
    config = {
        "format_version": _FORMAT_VERSION,
        "model": to_mapping(model.config),
        "codebook_sizes": list(model.codebook_sizes),
    }
    write_json(folder / _CONFIG, config)
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    write_bytes(folder / _WEIGHTS, safetensors.torch.save(tensors))
    written = {
        "tokenizer_version": meta.tokenizer_version,
        "catalog_version": meta.catalog_version,
        "parent": meta.parent,
        "head_weights": model.head_weights_J.tolist(),
        "value_mean": model.value_mean.item(),
        "value_std": model.value_std.item(),
    }
    write_json(folder / _META, written)


def read_checkpoint_meta(folder: Path) -> CheckpointMeta:
    """Read what a checkpoint belongs to, without its weights.

    Args:
        folder: Folder written by `save_checkpoint`.

    Returns:
        Versions and parent.

    Raises:
        ArtifactError: If the file is missing or is not a checkpoint's.
    """
    values = _read_file(folder, _META)
    try:
        return CheckpointMeta(
            tokenizer_version=values["tokenizer_version"],
            catalog_version=values["catalog_version"],
            parent=values["parent"],
        )
    except KeyError as error:
        raise ArtifactError(
            f"{_META} has no {error.args[0]}", where=str(folder), fix="train the model again"
        ) from error


def load_checkpoint(folder: Path, *, tokenizer_version: str, device: str = "cpu") -> GPR:
    """Load a model for use with one tokenizer.

    Args:
        folder: Folder written by `save_checkpoint`.
        tokenizer_version: Version of the tokenizer that codes come from.
        device: Where the model goes, `cpu` or `cuda`.

    Returns:
        The model in evaluation mode. The global random stream is left as it was.

    Raises:
        ArtifactError: If a file is missing or corrupt, the weights do not fit the configuration,
            or the model speaks another tokenizer version.
    """
    meta = read_checkpoint_meta(folder)
    if meta.tokenizer_version != tokenizer_version:
        raise ArtifactError(
            f"the checkpoint speaks tokenizer {meta.tokenizer_version}, "
            f"but codes come from {tokenizer_version}",
            where=str(folder),
            fix="use the tokenizer of the checkpoint, or train from scratch",
        )
    config = _read_file(folder, _CONFIG)
    if config.get("format_version") != _FORMAT_VERSION:
        raise ArtifactError(
            f"format_version is {config.get('format_version')}, expected {_FORMAT_VERSION}",
            where=str(folder / _CONFIG),
            fix="train the model again with this code",
        )
    try:
        model_config = load_section(ModelConfig, config["model"], where=str(folder / _CONFIG))
    except ConfigError as error:
        raise ArtifactError(error.what, where=error.where, fix="train the model again") from error
    with torch.random.fork_rng(devices=[]):
        model = GPR(model_config, config["codebook_sizes"])
    _load_weights(model, folder / _WEIGHTS)
    return model.to(device).eval()


def _load_weights(model: GPR, path: Path) -> None:
    """Put saved tensors into a model, or say exactly what does not fit."""
    try:
        tensors = safetensors.torch.load_file(path)
        model.load_state_dict(tensors, strict=True)
    except FileNotFoundError as error:
        raise _missing(path) from error
    except SafetensorError as error:
        raise ArtifactError(
            f"not a safetensors file: {error}", where=str(path), fix="restore or train again"
        ) from error
    except RuntimeError as error:
        raise ArtifactError(
            f"weights do not fit {_CONFIG}: {error}", where=str(path), fix="train the model again"
        ) from error


def _read_file(folder: Path, name: str) -> Any:
    """Read one JSON file of a checkpoint."""
    try:
        return read_json(folder / name)
    except FileNotFoundError as error:
        raise _missing(folder / name) from error
    except ValueError as error:
        raise ArtifactError(
            f"not valid JSON: {error}", where=str(folder / name), fix="restore or train again"
        ) from error


def _missing(path: Path) -> ArtifactError:
    """Make the error of a file that is not there."""
    return ArtifactError(
        f"{path.name} is missing", where=str(path), fix="check the folder, or train the model"
    )
