"""Writes that are either complete or not visible at all."""

import json
import os
import shutil
from pathlib import Path
from typing import Any


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically: temporary file in the same folder, flush to disk, rename.

    Args:
        path: Where the file must appear; its folder is made if needed.
        data: The whole content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with staging.open("wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    staging.replace(path)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically.

    Args:
        path: Where the file must appear.
        text: The whole content.
    """
    write_bytes(path, text.encode("utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file atomically, with sorted keys so that equal values are equal bytes.

    Args:
        path: Where the file must appear.
        value: A JSON-serializable value; NaN and infinity are refused.
    """
    write_text(path, json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: The file.

    Returns:
        The parsed value.
    """
    return json.loads(path.read_text(encoding="utf-8"))


def publish_folder(staging: Path, final: Path) -> None:
    """Make a finished folder visible under its final name; the last act of a step.

    An existing folder of that name is moved aside first and removed after the rename, so that
    at no moment a half-written folder stands under the final name.

    Args:
        staging: The finished folder, on the same file system.
        final: The name under which it must appear.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for path in sorted(staging.rglob("*")):
        if path.is_file():
            _sync(path)
    old = final.with_name(f".{final.name}.old")
    if old.exists():
        shutil.rmtree(old)
    if final.exists():
        final.rename(old)
    staging.rename(final)
    _sync(final.parent)
    if old.exists():
        shutil.rmtree(old)


def _sync(path: Path) -> None:
    """Flush one file or folder entry to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
