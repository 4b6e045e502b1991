"""The registry as dvc.yaml, and how a failed run ends."""

import pytest
import yaml

from components.pipeline.paths import StepPaths
from components.runners.dvc_runner import render_dvc_yaml, reproduce
from components.runtime.exit_codes import ExitCode
from components.runtime.step_spec import Artifact, StepSpec
from gpr_core.support.files import write_json, write_text

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
        "cmd": "gpr step run make",
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
    """A DVC workspace whose only stage fails after leaving a status."""

    def make(record):
        spec = StepSpec(name="make", summary="", section="make")
        write_text(tmp_path / ".dvc" / "config", "[core]\n no_scm = true\n analytics = false\n")
        stage = {"cmd": "exit 3", "outs": ["never"]}
        write_text(tmp_path / "dvc.yaml", yaml.safe_dump({"stages": {"make": stage}}))
        if record is not None:
            write_json(StepPaths.in_workspace(spec, tmp_path).status, record)
        return reproduce(tmp_path, [spec])

    return make


@pytest.mark.parametrize(
    ("record", "code"),
    [
        ({"state": "failed", "code": 12}, ExitCode.GATE_REFUSED),
        ({"state": "failed", "code": 10}, ExitCode.INPUT_REFUSED),
        ({"state": "running", "pid": 4711}, ExitCode.CRASH),
        (None, ExitCode.CRASH),
    ],
)
def test_the_exit_code_of_the_step_survives_dvc(failing, record, code):
    assert failing(record) is code


def test_a_killed_step_is_reported_as_killed(failing, caplog):
    failing({"state": "running", "pid": 4711})
    assert "make  process 4711 was killed; run again" in caplog.text
