"""Hashes depend on content only."""

import hashlib

from gpr_core.support.hashing import hash_file, hash_files, hash_value


def test_file_hash_is_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()


def test_folder_is_listed_by_relative_path_without_the_excluded(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "b").write_bytes(b"1")
    (tmp_path / "a").write_bytes(b"2")
    (tmp_path / "c").write_bytes(b"3")
    assert list(hash_files(tmp_path, exclude=("c",))) == ["a", "x/b"]


def test_values_that_differ_have_other_hashes():
    assert hash_value({"a": 1}) != hash_value({"a": 2})
