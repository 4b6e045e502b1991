"""The prefix tree on disk: one file, mapped into memory where the tree is read.

A process that opens a catalog of ten million ads pays for the pages that its requests touch, and
processes on one machine share them.
"""

from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from gpr_core.catalog.trie import Trie
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import write_bytes

INDEX_FILE = "index.safetensors"

_ARRAYS = ("code_N", "first_N1", "child_ptr_I1", "ad_key_A", "by_key_A")
_SHAPE = ("codebook_sizes", "level_start")


def save_trie(trie: Trie, folder: Path) -> None:
    """Write a tree to `index.safetensors`.

    Args:
        trie: The tree; equal trees give equal bytes.
        folder: Existing or new folder.
    """
    arrays = {name: getattr(trie, name).cpu() for name in _ARRAYS}
    arrays |= {name: torch.tensor(getattr(trie, name)) for name in _SHAPE}
    write_bytes(folder / INDEX_FILE, save(arrays))


def load_trie(folder: Path) -> Trie:
    """Map a tree into memory.

    Args:
        folder: Folder that `save_trie` wrote.

    Returns:
        The tree.

    Raises:
        ArtifactError: If the file is missing, damaged or holds other arrays.
    """
    path = folder / INDEX_FILE
    if not path.exists():
        raise ArtifactError(
            "catalog index is missing", where=str(path), fix="run the step tokenization"
        )
    names = {*_ARRAYS, *_SHAPE}
    try:
        with safe_open(path, framework="pt") as stored:
            if set(stored.keys()) != names:
                raise ArtifactError(
                    f"catalog index holds {sorted(stored.keys())}, expected {sorted(names)}",
                    where=str(path),
                    fix="run the step tokenization again",
                )
            arrays = {name: stored.get_tensor(name) for name in names}
    except SafetensorError as error:
        raise ArtifactError(
            f"catalog index is damaged: {error}",
            where=str(path),
            fix="restore the file, or run the step tokenization again",
        ) from error
    codebook_sizes, level_start = (tuple(arrays.pop(name).tolist()) for name in _SHAPE)
    return Trie(codebook_sizes=codebook_sizes, level_start=level_start, **arrays)
