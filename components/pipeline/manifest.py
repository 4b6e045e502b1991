"""manifest.json: what an artifact is made of and made from.

No wall time and no path of the machine enters it: equal runs have equal manifests.
"""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_file, hash_files, hash_value

MANIFEST = "manifest.json"
GATE_REPORT = "gate_report.json"
SCHEMA_VERSION = 1

_LIBRARIES = ("duckdb", "faiss-cpu", "great-expectations", "lightgbm", "numpy", "pyarrow", "torch")
_CODE_SUFFIXES = (".py", ".yaml", ".json")


def write_manifest(
    folder: Path,
    *,
    step: str,
    origin: Mapping[str, Any],
    providers: Mapping[str, int] | None = None,
) -> None:
    """Describe the files of a finished artifact; the last file written into it.

    Args:
        folder: The artifact's staging folder.
        step: Step that made it.
        origin: Hashes of inputs, lake, code and parameters, and the seed.
        providers: Who wrote thoughts of external knowledge -> how many; written if there is one.
    """
    files = hash_files(folder, exclude=(MANIFEST,))
    rows = {
        name: pq.read_metadata(folder / name).num_rows
        for name in files
        if name.endswith(".parquet")
    }
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "step": step,
        "files": files,
        "rows": rows,
        "origin": dict(origin),
        "libraries": {name: version(name) for name in _LIBRARIES},
        **({"providers": dict(providers)} if providers else {}),
    }
    write_json(folder / MANIFEST, manifest)


def verify_artifact(folder: Path, *, step: str) -> str:
    """Check that an artifact is complete, untouched, and passed its own gates.

    Args:
        folder: The artifact.
        step: Step that wants to read it, for the message.

    Returns:
        sha256 of its manifest, the identity of the artifact.

    Raises:
        ArtifactError: If it is missing, a file is missing, added or changed, or a gate failed.
    """
    where = f"input of step {step}: {folder}"
    if not (folder / MANIFEST).exists():
        raise ArtifactError(
            f"artifact {folder.name!r} is missing or incomplete",
            where=where,
            fix="run the step that makes it; `dvc repro` runs what is missing",
        )
    expected: dict[str, str] = read_json(folder / MANIFEST)["files"]
    found = hash_files(folder, exclude=(MANIFEST,))
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            state = "is missing" if name not in found else "was changed after it was published"
            state = "was added after it was published" if name not in expected else state
            raise ArtifactError(
                f"file {name!r} of artifact {folder.name!r} {state}",
                where=where,
                fix="`dvc checkout` restores the published bytes; never edit an artifact",
            )
    report = read_json(folder / GATE_REPORT)
    failed = [gate["name"] for gate in report["gates"] if not gate["passed"]]
    if failed:
        raise ArtifactError(
            f"artifact {folder.name!r} did not pass its gates: {', '.join(failed)}", where=where
        )
    return hash_file(folder / MANIFEST)


def hash_code(root: Path, code: tuple[str, ...]) -> str:
    """Hash the source files that a step depends on.

    Args:
        root: Folder that holds `gpr_core` and `components`.
        code: Files or folders below it.

    Returns:
        sha256 over paths and contents of Python, YAML and JSON files.

    Raises:
        ArtifactError: If a path does not exist.
    """
    files: dict[str, str] = {}
    for name in code:
        path = root / name
        if not path.exists():
            raise ArtifactError(f"code path {name!r} does not exist", where=str(root))
        members = [path] if path.is_file() else sorted(path.rglob("*"))
        for member in members:
            if member.suffix in _CODE_SUFFIXES and "__pycache__" not in member.parts:
                files[member.relative_to(root).as_posix()] = hash_file(member)
    return hash_value(files)
