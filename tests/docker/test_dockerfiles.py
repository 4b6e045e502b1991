"""Dockerfiles are checked by parsing: no Docker engine runs in CI."""

import re
import shutil
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "docker").glob("Dockerfile.*"))
COPIED = re.compile(r"^COPY (?!--from)(.+) \S+$", flags=re.MULTILINE)


def instructions(text):
    """List the instructions of a Dockerfile, continuation lines joined."""
    joined = re.sub(r"\\\n", " ", text)
    return [line for line in joined.splitlines() if line and not line.startswith("#")]


def last_user(text):
    """Give the user that the container runs as."""
    users = [line.split()[1] for line in instructions(text) if line.startswith("USER ")]
    return users[-1] if users else "root"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_container_does_not_run_as_root(path):
    assert last_user(path.read_text()) == "gpr"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_image_uses_a_floating_tag_or_adds_from_the_network(path):
    text = path.read_text()
    assert ":latest" not in text
    assert not [line for line in instructions(text) if line.startswith("ADD ")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_everything_copied_exists_and_passes_the_ignore_file(path):
    allowed = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    for names in COPIED.findall(path.read_text()):
        for name in names.split():
            assert (ROOT / name).exists()
            assert name in allowed


def test_the_entry_point_is_an_installed_command():
    assert shutil.which("gpr", path=str(Path(sys.executable).parent)) is not None


def test_a_root_container_is_noticed():
    assert last_user("FROM x\nRUN y") == "root"
