"""Checkpoints of an unfinished training, so that a crash repeats little and changes nothing.

One safetensors file holds weights, optimizer moments, counters and the curve, and is replaced by a
rename: after a kill at any moment there is either the older or the newer complete checkpoint.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import write_bytes

CHECKPOINT_FILE = "training.safetensors"
_UPDATE, _CURVE = "progress.update", "progress.curve"


def save_training(
    folder: Path,
    *,
    update: int,
    modules: Mapping[str, nn.Module],
    optimizer: torch.optim.Optimizer,
    curve: Tensor,
) -> None:
    """Write the whole state after some updates.

    Args:
        folder: Scratch folder of the step.
        update: Number of finished updates.
        modules: Name -> module whose parameters and buffers belong to the state.
        optimizer: Its moments belong to the state; rates are a function of the update.
        curve: [update, columns] float64 numbers logged so far.
    """
    tensors = {_UPDATE: torch.tensor(update), _CURVE: curve}
    for name, module in modules.items():
        tensors |= {f"{name}|{key}": value for key, value in module.state_dict().items()}
    for row, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer|{row}|{key}": value for key, value in moments.items()}
    # Cloning gives every tensor its own storage, which the format asks for.
    stored = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    write_bytes(folder / CHECKPOINT_FILE, save(stored))


def load_training(
    folder: Path, *, modules: Mapping[str, nn.Module], optimizer: torch.optim.Optimizer
) -> tuple[int, Tensor] | None:
    """Restore a state, if there is one.

    Args:
        folder: Scratch folder of the step.
        modules: Modules to restore, by the names they were saved under.
        optimizer: Optimizer to restore, made for the same parameters.

    Returns:
        Number of finished updates and the curve so far; None if there is no checkpoint.

    Raises:
        ArtifactError: If the file is damaged or of another model.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return None
    try:
        tensors = load_file(path)
        for name, module in modules.items():
            module.load_state_dict(_below(tensors, f"{name}|"))
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in _below(tensors, "optimizer|").items():
            row, moment = key.split("|")
            state.setdefault(int(row), {})[moment] = value
        groups: list[Any] = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        return int(tensors[_UPDATE]), tensors[_CURVE]
    except (SafetensorError, RuntimeError, KeyError, ValueError) as error:
        raise ArtifactError(
            f"training checkpoint cannot be resumed: {error}",
            where=str(path),
            fix="delete the file; training then starts over",
        ) from error


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Take the tensors whose name starts with a prefix, without it."""
    return {
        key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
    }
