"""A micro lake and its first finished day, made once and shared by all workers of pytest-xdist.

A day costs a minute, so whoever comes first makes it and the others wait. Nobody changes what is
shared: a module that uses a home up works on a copy.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

GPR = str(Path(sys.executable).with_name("gpr"))
DAY = "2026-01-14"


def gpr(*arguments, **kwargs):
    """Run the `gpr` command and return the finished process."""
    return subprocess.run([GPR, *arguments], capture_output=True, text=True, **kwargs)


class FinishedDay(NamedTuple):
    """A home after the first run of its first day, and what that run printed."""

    home: Path
    output: str

    @property
    def workspace(self):
        """Folder of the day."""
        return self.home / "runs" / DAY


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """A folder of this test session that all its workers see."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "orchestrators"
    folder.mkdir(exist_ok=True)
    return folder


def make_once(folder, make):
    """Make a folder unless a worker has made it; `make` returns a text to keep beside it."""
    note = folder.with_suffix(".txt")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            shutil.rmtree(folder, ignore_errors=True)
            note.write_text(make(folder))
    return note.read_text()


@pytest.fixture(scope="session")
def filled_home(shared):
    """A home with a micro lake of three days more than the first run needs, and no runs; shared."""

    def make(home):
        done = gpr("lake", "fill", "--preset=micro", f"--home={home}", "--through=2026-01-17")
        assert done.returncode == 0, done.stderr
        return done.stdout

    make_once(shared / "filled", make)
    return shared / "filled"


@pytest.fixture(scope="session")
def finished_day(filled_home, shared):
    """The first day after one run without an accident; shared."""

    def make(home):
        shutil.copytree(filled_home, home)
        done = gpr("run", f"--home={home}")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    output = make_once(shared / "finished", make)
    return FinishedDay(shared / "finished", output)


@pytest.fixture(scope="module")
def finished_copy(finished_day, tmp_path_factory):
    """The finished day in a home that one test module may use up."""
    copy = tmp_path_factory.mktemp("finished") / "home"
    shutil.copytree(finished_day.home, copy)
    return FinishedDay(copy, finished_day.output)


@pytest.fixture(scope="module")
def home(filled_home, tmp_path_factory):
    """A home without runs that one test module may use up."""
    copy = tmp_path_factory.mktemp("filled") / "home"
    shutil.copytree(filled_home, copy)
    return copy
