"""The registry as dvc.yaml, and how a failed run ends."""

import os

import pytest
import yaml

from components.pipeline.execute import BusyError
from components.pipeline.paths import StepPaths
from components.runners.dvc_runner import is_alive, render_dvc_yaml, reproduce
from components.runtime.exit_codes import ExitCode
from components.runtime.step_spec import Artifact, StepSpec
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_json, write_text

# Above the largest process number that Linux gives.
DEAD = (1 << 22) + 1

MAKE = StepSpec(
    name="make",
    summary="Makes.",
    section="make",
    lake_manifests=("train",),
    outputs=(Artifact(name="x", type="dataset"),),
    code=("gpr_core/data",),
    plots=("curve.csv",),
)
PUSH = StepSpec(
    name="push",
    summary="Pushes.",
    section="push",
    inputs=("x",),
    run_params=("day", "champion"),
    outputs=(Artifact(name="receipt", type="report", cached=False),),
)


def test_a_stage_depends_on_lake_inputs_code_and_its_own_parameters():
    stage = yaml.safe_load(render_dvc_yaml([MAKE, PUSH]))["stages"]["make"]
    assert stage == {
        "desc": "Makes.",
        "cmd": "exec gpr step run make",
        "deps": ["${run.lake}/manifests/${run.day}/train.json", "gpr_core/data"],
        "params": ["run.day", "run.seed", "run.device", "run.threads", "make"],
        "outs": ["artifacts/x"],
        "metrics": ["metrics/make.json"],
        "plots": ["plots/make/curve.csv"],
        "meta": {"gpus": 0, "retries": 1},
    }


def test_a_receipt_is_never_replayed_from_a_cache():
    stage = yaml.safe_load(render_dvc_yaml([MAKE, PUSH]))["stages"]["push"]
    assert stage["outs"] == [{"artifacts/receipt": {"cache": False}}]
    assert stage["deps"] == ["artifacts/x"]


@pytest.fixture
def failing(tmp_path):
    """A DVC workspace whose only stage leaves a status and fails."""

    def make(record, *, before=None, lake_manifests=()):
        spec = StepSpec(name="make", summary="", section="make", lake_manifests=lake_manifests)
        status = StepPaths.in_workspace(spec, tmp_path).status
        write_text(tmp_path / ".dvc" / "config", "[core]\n no_scm = true\n analytics = false\n")
        write_text(tmp_path / "params.yaml", "run: {day: '2026-01-14'}\n")
        command = "exit 3"
        if record is not None:
            write_json(tmp_path / "left.json", record)
            command = f"mkdir -p {status.parent} && cp left.json {status} && exit 3"
        stage = {"cmd": command, "outs": ["never"]}
        write_text(tmp_path / "dvc.yaml", yaml.safe_dump({"stages": {"make": stage}}))
        if before is not None:
            write_json(status, before)
        return reproduce(tmp_path, [spec])

    return make


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"state": "failed", "code": 12}, ExitCode.GATE_REFUSED),
        ({"state": "failed", "code": 10}, ExitCode.INPUT_REFUSED),
        ({"state": "running", "pid": DEAD}, ExitCode.CRASH),
        (None, ExitCode.CRASH),
    ],
)
def test_the_exit_code_of_the_step_survives_dvc(failing, record, code):
    assert failing(record) is code


def test_a_killed_step_is_reported_as_killed(failing, caplog):
    failing({"state": "running", "pid": DEAD})
    assert f"make  process {DEAD} was killed; run again" in caplog.text


def test_the_failure_of_an_earlier_attempt_is_not_reported_again(failing):
    assert failing(None, before={"state": "failed", "code": 12}) is ExitCode.CRASH


def test_a_step_that_is_running_is_left_alone(failing):
    with pytest.raises(BusyError, match=f"already running as process {os.getpid()}"):
        failing(None, before={"state": "running", "pid": os.getpid()})


def test_a_day_that_has_not_landed_is_refused_before_anything_runs(failing, tmp_path):
    with pytest.raises(ArtifactError, match="no evaluation manifest of day 2026-01-14"):
        failing({"state": "failed", "code": 12}, lake_manifests=("evaluation",))
    assert not (tmp_path / "scratch").exists()


def test_a_process_that_ended_is_not_alive():
    assert is_alive(os.getpid())
    assert not is_alive(DEAD)


def test_a_step_that_the_cache_restores_after_a_failure_is_done(tmp_path):
    spec = StepSpec(name="make", summary="", section="make")
    status = StepPaths.in_workspace(spec, tmp_path).status
    (tmp_path / "remote").mkdir()
    config = "[core]\n no_scm = true\n analytics = false\n remote = here\n"
    config += "['remote \"here\"']\n url = ../remote\n"
    write_text(tmp_path / ".dvc" / "config", config)
    write_text(tmp_path / "params.yaml", "run: {day: '2026-01-14'}\n")
    command = f"mkdir -p {status.parent} && cp input {status} && grep done input > out"
    stage = {"cmd": command, "deps": ["input"], "outs": ["out"]}
    write_text(tmp_path / "dvc.yaml", yaml.safe_dump({"stages": {"make": stage}}))

    def run_with(record):
        write_json(tmp_path / "input", record)
        code = reproduce(tmp_path, [spec])
        return code, read_json(status)

    ran = {"state": "done", "code": 0, "pid": 7}
    assert run_with(ran) == (ExitCode.DONE, ran)
    failed = {"state": "failed", "code": 12}
    assert run_with(failed) == (ExitCode.GATE_REFUSED, failed)
    code, record = run_with(ran)
    assert code is ExitCode.DONE
    assert (record["state"], record["message"]) == ("done", "restored from the cache")
