"""A step dies with the process that started it, so that no orphan goes on writing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.pipeline.paths import StepPaths
from components.pipeline.registry import STEPS
from components.runners.workspace import workspace_of
from gpr_core.support.files import read_json
from tests.orchestrators.conftest import DAY, GPR

pytestmark = [
    pytest.mark.orchestrator,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent"),
]

STEP = STEPS[0]
# A step starts within seconds; a machine under load may take longer.
STARTS_WITHIN_S, DIES_WITHIN_S, GOES_ON_FOR_S = 180, 10, 2


def wait_for(condition, seconds):
    """Ask again and again until the answer is true or the time is over; returns the answer."""
    end = time.monotonic() + seconds
    while not (answer := condition()) and time.monotonic() < end:
        time.sleep(0.01)
    return answer


def is_alive(pid):
    """Say whether a process still runs; a zombie, which nobody has collected yet, does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    # The name in parentheses may hold anything; the state follows it.
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def outlives_its_parent(pid, parent, seconds):
    """Kill the parent without warning and say whether the child is still there so much later."""
    assert is_alive(pid)
    assert parent.poll() is None
    parent.kill()
    assert parent.wait(timeout=DIES_WITHIN_S) == -signal.SIGKILL
    return not wait_for(lambda: not is_alive(pid), seconds)


def test_a_step_dies_with_the_run_that_started_it(home):
    paths = StepPaths.in_workspace(STEP, workspace_of(home, DAY))
    run = subprocess.Popen(
        [GPR, "run", f"--home={home}", f"--only={STEP.name}"],
        # Unlike bash, this shell stays between DVC and the step that it starts.
        env={**os.environ, "SHELL": "/bin/sh"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert wait_for(lambda: paths.status.exists() or run.poll() is not None, STARTS_WITHIN_S)
        record = read_json(paths.status)
        assert record["state"] == "running"
        assert record["pid"] != run.pid
        assert not outlives_its_parent(record["pid"], run, DIES_WITHIN_S)
    finally:
        run.kill()
        run.wait()
    # It neither finished its work nor had the time to say that it failed.
    assert read_json(paths.status) == record
    assert not any(folder.exists() for folder in paths.outputs.values())


def test_a_child_that_is_not_tied_to_its_parent_is_seen_to_go_on():
    code = (
        "import subprocess\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with parent:
        pid = int(parent.stdout.readline())
        try:
            assert outlives_its_parent(pid, parent, GOES_ON_FOR_S)
        finally:
            os.kill(pid, signal.SIGKILL)
