"""The life of a step: nothing is visible before it is checked, and everything refused is named."""

import fcntl
import logging
import sys
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import pytest

from components.pipeline import execute
from components.pipeline.manifest import MANIFEST
from components.runtime.context import StepResult
from components.runtime.exit_codes import ExitCode
from gpr_core.support.distributed import Processes
from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.files import read_json
from tests.components.pipeline.conftest import MAKE, USE, MakeConfig, make


def status(steps, spec):
    return read_json(steps.paths(spec).status)


def test_a_step_publishes_its_artifact_with_manifest_gates_and_metrics(steps):
    assert steps.run(MAKE) is ExitCode.DONE
    folder = steps.workspace / "artifacts" / "numbers"
    assert sorted(path.name for path in folder.iterdir()) == [
        "gate_report.json",
        "manifest.json",
        "number.txt",
    ]
    assert read_json(steps.workspace / "metrics" / "make.json") == {"number": 3.0}
    [gate] = read_json(folder / "gate_report.json")["gates"]
    assert gate["demand"] == "the number is above zero"
    assert gate["passed"] is True
    assert status(steps, MAKE)["state"] == "done"


def test_a_step_reads_what_another_published(steps):
    steps.run(MAKE)
    assert steps.run(USE) is ExitCode.DONE
    assert (steps.workspace / "artifacts" / "doubled" / "number.txt").read_text() == "6"


def test_equal_runs_have_equal_manifests(steps):
    steps.run(MAKE)
    manifest = steps.workspace / "artifacts" / "numbers" / MANIFEST
    first = manifest.read_bytes()
    steps.run(MAKE)
    assert manifest.read_bytes() == first


def test_a_failed_gate_publishes_nothing_and_keeps_the_old_artifact(steps):
    steps.run(MAKE)
    steps.write_params(make={"number": -1})
    assert steps.run(MAKE) is ExitCode.GATE_REFUSED
    assert (steps.workspace / "artifacts" / "numbers" / "number.txt").read_text() == "3"
    assert "positive: must be above zero (found -1, bound 0)" in status(steps, MAKE)["message"]
    kept = steps.workspace / "scratch" / "failed" / "make" / "numbers" / "number.txt"
    assert kept.read_text() == "-1"


def test_a_gate_that_was_not_measured_counts_as_failed(steps, monkeypatch):
    module = SimpleNamespace(PARAMS=MakeConfig, run=lambda context: StepResult())
    monkeypatch.setitem(sys.modules, "components.make.main", module)
    assert steps.run(MAKE) is ExitCode.GATE_REFUSED
    assert "gates not measured: positive" in status(steps, MAKE)["message"]


def test_a_missing_input_is_refused(steps):
    assert steps.run(USE) is ExitCode.INPUT_REFUSED
    assert "artifact 'numbers' is missing or incomplete" in status(steps, USE)["message"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("number.txt", "4", "'number.txt' of artifact 'numbers' was changed after"),
        ("more.txt", "4", "'more.txt' of artifact 'numbers' was added after"),
    ],
)
def test_a_tampered_input_is_refused(steps, name, text, message):
    steps.run(MAKE)
    (steps.workspace / "artifacts" / "numbers" / name).write_text(text)
    assert steps.run(USE) is ExitCode.INPUT_REFUSED
    assert message in status(steps, USE)["message"]
    assert not (steps.workspace / "artifacts" / "doubled").exists()


def test_a_removed_file_of_an_input_is_refused(steps):
    steps.run(MAKE)
    (steps.workspace / "artifacts" / "numbers" / "number.txt").unlink()
    assert steps.run(USE) is ExitCode.INPUT_REFUSED
    assert "'number.txt' of artifact 'numbers' is missing" in status(steps, USE)["message"]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"make": {"nubmer": 1}}, "unknown parameter 'nubmer'"),
        ({"maek": {}}, "unknown section 'maek'"),
        ({"make": {"number": "x"}}, "found 'x' (str), expected int"),
    ],
)
def test_unknown_parameters_are_refused(steps, sections, message):
    steps.write_params(**sections)
    assert steps.run(MAKE) is ExitCode.INPUT_REFUSED
    assert message in status(steps, MAKE)["message"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ContractError("bad rows"), ExitCode.INPUT_REFUSED),
        (ArtifactError("corrupt"), ExitCode.INPUT_REFUSED),
        (ValueError("a bug"), ExitCode.CRASH),
    ],
)
def test_an_error_inside_a_step_becomes_its_exit_code(steps, monkeypatch, error, code):
    def fail(context):
        raise error

    monkeypatch.setitem(
        sys.modules, "components.make.main", SimpleNamespace(PARAMS=MakeConfig, run=fail)
    )
    assert steps.run(MAKE) is code
    assert status(steps, MAKE)["message"] == str(error)
    assert not (steps.workspace / "artifacts").exists()


def test_two_processes_never_work_on_one_step(steps, caplog):
    staging = steps.paths(MAKE).staging
    staging.mkdir(parents=True)
    (staging / "half.txt").write_text("of the first process")
    lock = staging.with_name("make.lock")
    with lock.open("w") as held:
        held.write("4711")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        assert steps.run(MAKE) is ExitCode.CRASH
    assert "step 'make' is already running as process 4711" in caplog.text
    assert (staging / "half.txt").read_text() == "of the first process"
    assert not steps.paths(MAKE).status.exists()


def test_a_champion_that_has_seen_the_day_is_refused(steps):
    steps.write_params(run={"day": "2026-01-14", "champion": "2026-01-14-0123456789ab"})
    assert steps.run(MAKE) is ExitCode.INPUT_REFUSED
    assert "was trained on a day that is not before 2026-01-14" in status(steps, MAKE)["message"]


def test_a_checkpoint_of_other_parameters_is_never_seen(steps, monkeypatch):
    seen = []

    def remember(context):
        seen.append(context.scratch.name)
        raise RuntimeError("killed")

    monkeypatch.setitem(
        sys.modules, "components.make.main", SimpleNamespace(PARAMS=MakeConfig, run=remember)
    )
    steps.run(MAKE)
    steps.run(MAKE)
    steps.write_params(make={"number": 5})
    steps.run(MAKE)
    assert seen[0] == seen[1] != seen[2]


def start_as(monkeypatch, rank, count):
    """Let this process look as if `torchrun` had started it; there is nobody to talk to."""
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", str(count))
    together = Processes(rank, count)
    monkeypatch.setattr(execute, "joined_processes", lambda device: nullcontext(together))
    monkeypatch.setattr(logging, "disable", lambda level: None)


def test_only_the_first_of_several_processes_publishes(steps, monkeypatch):
    together = replace(MAKE, parallel=True)
    start_as(monkeypatch, 1, 2)
    assert steps.run(together) is ExitCode.DONE
    assert not (steps.workspace / "artifacts").exists()
    assert not (steps.workspace / "scratch" / "status").exists()
    start_as(monkeypatch, 0, 2)
    assert steps.run(together) is ExitCode.DONE
    manifest = read_json(steps.workspace / "artifacts" / "numbers" / MANIFEST)
    assert manifest["origin"]["processes"] == 2


def test_a_step_learns_who_works_on_it(steps, monkeypatch):
    seen = []

    def remember(context):
        seen.append(context.processes)
        return make(context)

    module = SimpleNamespace(PARAMS=MakeConfig, run=remember)
    monkeypatch.setitem(sys.modules, "components.make.main", module)
    assert steps.run(MAKE) is ExitCode.DONE
    start_as(monkeypatch, 1, 3)
    assert steps.run(replace(MAKE, parallel=True)) is ExitCode.DONE
    assert seen == [Processes(0, 1), Processes(1, 3)]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_step_for_one_process_is_refused_in_several(steps, monkeypatch, caplog, rank):
    start_as(monkeypatch, rank, 2)
    assert steps.run(MAKE) is ExitCode.INPUT_REFUSED
    assert "2 processes were started for step 'make', which runs in one" in caplog.text
    assert not (steps.workspace / "artifacts").exists()
