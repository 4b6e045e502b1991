"""A micro lake that every runner gets its own copy of."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GPR = str(Path(sys.executable).with_name("gpr"))


def gpr(*arguments, **kwargs):
    """Run the `gpr` command and return the finished process."""
    return subprocess.run([GPR, *arguments], capture_output=True, text=True, **kwargs)


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory):
    """A home with a micro lake of three days more than the first run needs, and no runs."""
    home = tmp_path_factory.mktemp("home")
    done = gpr("lake", "fill", "--preset=micro", f"--home={home}", "--through=2026-01-17")
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="module")
def home(filled_home, tmp_path_factory):
    """A copy of the filled home that one test module may use up."""
    copy = tmp_path_factory.mktemp("run") / "home"
    shutil.copytree(filled_home, copy)
    return copy
