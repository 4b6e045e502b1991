"""Killing a step in the middle and running it again ends with the bytes of an uninterrupted run.

The six learning steps run again without the oracle tree, and must still give the same bytes (T32).
"""

import shutil
import signal
import subprocess
import time

import pytest

from components.pipeline.paths import StepPaths
from components.pipeline.registry import STEPS
from gpr_core.support.files import read_json
from gpr_core.support.hashing import hash_files
from tests.orchestrators.conftest import GPR, gpr

pytestmark = pytest.mark.orchestrator

TRAINING = ("mtp_pretrain", "vaft", "hepo")
LEARNING = [spec.name for spec in STEPS[:6]]


def hide_oracle(workspace):
    """Point a workspace to an oracle tree that does not exist (T32)."""
    path = workspace / "params.yaml"
    text = path.read_text()
    assert "oracle: ../../oracle" in text
    path.write_text(text.replace("oracle: ../../oracle", "oracle: ../../nowhere"))


def start_step(spec, workspace):
    """Start a step in a process of its own."""
    return subprocess.Popen(
        [GPR, "step", "run", spec.name, f"--workspace={workspace}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_until_in_the_middle(spec, process, workspace, compute_s):
    """Wait until the step computes; a training step until it has written a checkpoint."""
    paths = StepPaths.in_workspace(spec, workspace)
    begun = None
    while process.poll() is None:
        if begun is None and paths.staging.exists():
            begun = time.monotonic()
        if spec.name in TRAINING and any(path.is_file() for path in paths.scratch.rglob("*")):
            return
        if spec.name not in TRAINING and begun and time.monotonic() - begun > compute_s / 2:
            return
        time.sleep(0.005)


# Evaluation, the longest of the steps that only publish, is left to `make e2e`.
EACH_STEP = [
    pytest.param(spec, id=spec.name, marks=[pytest.mark.e2e] if spec.name == "evaluation" else [])
    for spec in STEPS
]


@pytest.mark.parametrize("spec", EACH_STEP)
def test_a_killed_step_ends_with_the_same_bytes(spec, finished_copy):
    workspace = finished_copy.workspace.with_name(f"killed-{spec.name}")
    shutil.copytree(finished_copy.workspace, workspace, symlinks=True)
    outputs = [workspace / "artifacts" / artifact.name for artifact in spec.outputs]
    compute_s = read_json(StepPaths.in_workspace(spec, workspace).status)["timings"]["compute_s"]
    expected = [hash_files(folder) for folder in outputs]
    for folder in outputs:
        shutil.rmtree(folder)
    if spec.name in LEARNING:
        hide_oracle(workspace)
    if spec.name == "model_push":
        shutil.rmtree(workspace.parents[1] / "registry")

    process = start_step(spec, workspace)
    wait_until_in_the_middle(spec, process, workspace, compute_s)
    process.kill()
    assert process.wait() == -signal.SIGKILL, "the step ended before it could be killed"
    assert not any(folder.exists() for folder in outputs), "something half-written is visible"

    again = gpr("step", "run", spec.name, f"--workspace={workspace}")
    assert again.returncode == 0, again.stderr
    assert [hash_files(folder) for folder in outputs] == expected
