"""Manifests identify artifacts by content."""

import pytest

from components.pipeline.manifest import hash_code, verify_artifact, write_manifest
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_json, write_text


def make_artifact(folder, *, passed=True):
    write_text(folder / "data.txt", "1")
    write_json(
        folder / "gate_report.json", {"gates": [{"name": "g", "passed": passed}], "contracts": []}
    )
    write_manifest(folder, step="make", origin={"code": "c"})


def test_a_whole_artifact_has_an_identity(tmp_path):
    make_artifact(tmp_path / "a")
    make_artifact(tmp_path / "b")
    assert verify_artifact(tmp_path / "a", step="use") == verify_artifact(
        tmp_path / "b", step="use"
    )


def test_the_manifest_holds_no_path_and_no_time(tmp_path):
    make_artifact(tmp_path / "a")
    assert sorted(read_json(tmp_path / "a" / "manifest.json")) == [
        "files",
        "libraries",
        "origin",
        "rows",
        "schema_version",
        "step",
    ]
    assert str(tmp_path) not in (tmp_path / "a" / "manifest.json").read_text()


def test_an_artifact_that_failed_a_gate_is_refused(tmp_path):
    make_artifact(tmp_path / "a", passed=False)
    with pytest.raises(ArtifactError, match="did not pass its gates: g"):
        verify_artifact(tmp_path / "a", step="use")


def test_code_hash_sees_content_and_names_only(tmp_path):
    write_text(tmp_path / "one" / "pkg" / "a.py", "x = 1\n")
    write_text(tmp_path / "two" / "pkg" / "a.py", "x = 1\n")
    write_text(tmp_path / "two" / "pkg" / "__pycache__" / "a.py", "stale")
    write_text(tmp_path / "two" / "pkg" / "README.md", "text")
    assert hash_code(tmp_path / "one", ("pkg",)) == hash_code(tmp_path / "two", ("pkg",))
    write_text(tmp_path / "two" / "pkg" / "a.py", "x = 2\n")
    assert hash_code(tmp_path / "one", ("pkg",)) != hash_code(tmp_path / "two", ("pkg",))
    with pytest.raises(ArtifactError, match="code path 'nope' does not exist"):
        hash_code(tmp_path, ("nope",))


def test_a_manifest_names_who_wrote_thoughts(tmp_path):
    write_text(tmp_path / "data.txt", "1")
    write_manifest(tmp_path, step="make", origin={}, providers={"template": 3})
    assert read_json(tmp_path / "manifest.json")["providers"] == {"template": 3}
