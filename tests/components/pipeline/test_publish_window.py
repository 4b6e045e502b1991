"""Death while a step publishes: nothing half-written is ever visible, and a second run mends it.

Plots and artifacts appear by one rename each; the step below has two artifacts and plots, and an
older version of all of them may stand there already.
"""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from components.pipeline import execute, registry
from components.pipeline.manifest import verify_artifact
from components.runtime.context import StepResult
from components.runtime.exit_codes import ExitCode
from components.runtime.step_spec import Artifact, StepSpec
from gpr_core.support.errors import ArtifactError
from gpr_core.support.hashing import hash_files
from tests.components.pipeline.conftest import Steps

PAIR = StepSpec(
    name="pair",
    summary="Makes two artifacts and a plot.",
    section="pair",
    outputs=(Artifact(name="left", type="dataset"), Artifact(name="right", type="model")),
    code=("gpr_core/support/errors.py",),
    plots=("curve.csv",),
)
KILLED = 137
# plots, left, right.
NUM_FOLDERS = 3
# Each is moved aside and then put in place.
NUM_RENAMES = 2 * NUM_FOLDERS


@dataclass(frozen=True, slots=True, kw_only=True)
class PairConfig:
    number: int = 3


def make_pair(context):
    number = str(context.params.number)
    for folder in context.outputs.values():
        (folder / "deep").mkdir()
        (folder / "deep" / "number.txt").write_text(number)
        (folder / "square.txt").write_text(str(int(number) ** 2))
    (context.plots / "curve.csv").write_text(f"update,loss\n0,{number}\n")
    return StepResult(metrics={"number": float(number)})


@pytest.fixture
def workspaces(tmp_path, monkeypatch):
    """Makes workspaces of the step; `old` of them hold what an earlier run published."""
    module = SimpleNamespace(PARAMS=PairConfig, run=make_pair)
    monkeypatch.setitem(sys.modules, "components.pair.main", module)
    monkeypatch.setattr(execute, "STEPS", (PAIR,))
    monkeypatch.setattr(
        execute, "find_artifact", lambda name: registry.find_artifact(name, (PAIR,))
    )
    monkeypatch.setattr(execute, "_die_with_parent", lambda: None)

    def make(name, *, has_old):
        (tmp_path / name).mkdir()
        steps = Steps(tmp_path / name)
        if has_old:
            steps.write_params(pair={"number": 2})
            assert steps.run(PAIR) is ExitCode.DONE
        steps.write_params(pair={"number": 7})
        return steps

    return make


def visible(steps):
    """List the artifacts that another step would find; what a dot begins is not an artifact."""
    folder = steps.workspace / "artifacts"
    return sorted(path for path in folder.glob("*") if not path.name.startswith("."))


def half_written(steps):
    """The check: name the visible artifacts that are not what their own manifest says."""
    found = []
    for folder in visible(steps):
        try:
            verify_artifact(folder, step="reader")
        except ArtifactError:
            found.append(folder.name)
    return found


def published(steps):
    """Hash everything that the step leaves for others, hidden files included."""
    return {name: hash_files(steps.workspace / name) for name in ("artifacts", "plots", "metrics")}


def uninterrupted(workspaces):
    """What a run without any accident publishes."""
    steps = workspaces("uninterrupted", has_old=False)
    assert steps.run(PAIR) is ExitCode.DONE
    assert [path.name for path in visible(steps)] == ["left", "right"]
    return published(steps)


def run_and_die(steps, monkeypatch, *, before_call):
    """Run the step in a process that dies, like SIGKILL, before the n-th rename or copied file."""
    calls = iter(range(before_call))

    def dying(call):
        def instead(*arguments, **options):
            if next(calls, None) is None:
                os._exit(KILLED)
            return call(*arguments, **options)

        return instead

    pid = os.fork()
    if pid == 0:
        try:
            monkeypatch.setattr(Path, "rename", dying(Path.rename))
            monkeypatch.setattr(shutil, "copyfile", dying(shutil.copyfile))
            os._exit(int(steps.run(PAIR)))
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("has_old", [False, True])
@pytest.mark.parametrize("call", range(NUM_FOLDERS))
def test_an_interrupt_at_any_folder_is_mended_by_the_next_run(
    workspaces, monkeypatch, call, has_old
):
    steps = workspaces("interrupted", has_old=has_old)
    honest, calls = execute.publish_folder, iter(range(call))

    def interrupted(staging, final):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        honest(staging, final)

    monkeypatch.setattr(execute, "publish_folder", interrupted)
    assert steps.run(PAIR) is ExitCode.CRASH
    assert half_written(steps) == []
    monkeypatch.setattr(execute, "publish_folder", honest)
    assert steps.run(PAIR) is ExitCode.DONE
    assert published(steps) == uninterrupted(workspaces)


@pytest.mark.parametrize("call", range(NUM_RENAMES))
def test_a_kill_before_any_rename_is_mended_by_the_next_run(workspaces, monkeypatch, call):
    steps = workspaces("killed", has_old=True)
    assert run_and_die(steps, monkeypatch, before_call=call) == KILLED
    assert half_written(steps) == []
    assert steps.run(PAIR) is ExitCode.DONE
    assert published(steps) == uninterrupted(workspaces)


def test_publishing_takes_no_more_renames_than_were_tried(workspaces, monkeypatch):
    steps = workspaces("alive", has_old=True)
    assert run_and_die(steps, monkeypatch, before_call=NUM_RENAMES) == ExitCode.DONE


def copy_in_place(staging, final):
    """The broken twin: the files of the old folder are overwritten one by one."""
    for path in sorted(staging.rglob("*")):
        target = final / path.relative_to(staging)
        if path.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def test_a_folder_that_is_copied_file_by_file_is_caught(workspaces, monkeypatch):
    monkeypatch.setattr(execute, "publish_folder", copy_in_place)
    steps = workspaces("copied", has_old=True)
    # The plot and the first file of `left` are copied; its manifest is still the old one.
    assert run_and_die(steps, monkeypatch, before_call=2) == KILLED
    assert half_written(steps) == ["left"]
