"""Content hashes of files, folders and plain values."""

import hashlib
import json
from pathlib import Path
from typing import Any

_CHUNK_BYTES = 1 << 20


def hash_file(path: Path) -> str:
    """Hash the bytes of one file.

    Args:
        path: The file.

    Returns:
        sha256 as 64 hex digits.
    """
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def hash_files(folder: Path, *, exclude: tuple[str, ...] = ()) -> dict[str, str]:
    """Hash every file below a folder.

    Args:
        folder: The folder.
        exclude: Relative POSIX paths to leave out.

    Returns:
        Relative POSIX path -> sha256, sorted by path.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: hash_file(path) for name, path in sorted(names.items()) if name not in exclude}


def hash_value(value: Any) -> str:
    """Hash a JSON-serializable value, independent of key order.

    Args:
        value: Mappings, lists, strings, numbers, booleans, None.

    Returns:
        sha256 as 64 hex digits.

    Example:
        >>> hash_value({"a": 1, "b": 2}) == hash_value({"b": 2, "a": 1})
        True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
