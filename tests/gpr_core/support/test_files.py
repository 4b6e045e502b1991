"""Writes are complete or invisible."""

import pytest

from gpr_core.support.files import publish_folder, read_json, write_bytes, write_json, write_text


def test_a_written_file_leaves_no_temporary_file(tmp_path):
    write_bytes(tmp_path / "sub" / "a", b"1")
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["a"]


def test_a_failed_write_leaves_the_old_content(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, {"a": float("nan")})
    assert read_json(path) == {"a": 1}


def test_equal_values_are_equal_bytes(tmp_path):
    write_json(tmp_path / "a", {"x": 1, "y": 2})
    write_json(tmp_path / "b", {"y": 2, "x": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_publishing_replaces_the_old_folder_as_a_whole(tmp_path):
    for name, text in (("staging", "new"), ("final", "old")):
        write_text(tmp_path / name / "data", text)
    write_text(tmp_path / "final" / "left_over", "old")
    publish_folder(tmp_path / "staging", tmp_path / "final")
    assert {path.name for path in tmp_path.iterdir()} == {"final"}
    assert {path.name: path.read_text() for path in (tmp_path / "final").iterdir()} == {
        "data": "new"
    }
