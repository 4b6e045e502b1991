"""Assembling the bundle: everything a server needs, and the papers that say where it is from."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from components.runtime.model_store import content_hash
from gpr_core.features.corpus import THOUGHTS_FILE
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_file

_CORPUS_STATS = ("buckets.json", "embedding_stats.json", "split.json", "value_weights.json")
_BOOKKEEPING = ("manifest.json", "gate_report.json")
_LINEAGE_INPUTS = ("corpus", "tokenizer", "catalog", "hepo_checkpoint", "evaluation")


def stage_bundle(inputs: Mapping[str, Path], bundle: Path) -> None:
    """Copy what is served, and write where it comes from.

    No table of users enters a bundle: of the corpus only fitted statistics are taken.

    Args:
        inputs: Artifact name -> folder.
        bundle: Folder to make; an old one is removed.
    """
    shutil.rmtree(bundle, ignore_errors=True)
    folders = {"policy": "hepo_checkpoint", "tokenizer": "tokenizer", "catalog": "catalog"}
    for name, artifact in folders.items():
        shutil.copytree(
            inputs[artifact], bundle / name, ignore=shutil.ignore_patterns(*_BOOKKEEPING)
        )
    (bundle / "corpus_stats").mkdir()
    said = (THOUGHTS_FILE,) if (inputs["corpus"] / THOUGHTS_FILE).exists() else ()
    for name in (*_CORPUS_STATS, *said):
        shutil.copyfile(inputs["corpus"] / name, bundle / "corpus_stats" / name)
    shutil.copyfile(inputs["evaluation"] / "verdict.json", bundle / "verdict.json")
    write_json(bundle / "lineage.json", lineage(inputs))


def lineage(inputs: Mapping[str, Path]) -> dict[str, Any]:
    """Collect what each artifact was made from.

    Args:
        inputs: Artifact name -> folder.

    Returns:
        Artifact name -> hash of its manifest, hash of its content, its recorded origin, and who
        wrote thoughts for it, if anybody did.
    """
    return {name: _lineage_of(inputs[name]) for name in _LINEAGE_INPUTS}


def _lineage_of(folder: Path) -> dict[str, Any]:
    """Collect what one artifact was made from."""
    manifest = read_json(folder / "manifest.json")
    recorded = {key: manifest[key] for key in ("origin", "providers") if key in manifest}
    return {
        "manifest_sha256": hash_file(folder / "manifest.json"),
        "content_sha256": content_hash(folder),
        **recorded,
    }
