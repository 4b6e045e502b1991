"""A workspace a day: made once, refreshed without disturbing DVC."""

from dataclasses import replace

from components.runners.workspace import prepare_workspace
from components.runtime.step_spec import Artifact, StepSpec
from gpr_core.params import load_params_file, preset

SPEC = StepSpec(
    name="make",
    summary="",
    section="vaft",
    outputs=(Artifact(name="x", type="dataset"),),
    code=("gpr_core/data", "gpr_core/support/errors.py"),
)


def test_a_workspace_holds_parameters_pipeline_and_code(tmp_path):
    workspace = prepare_workspace(tmp_path, preset("micro"), [SPEC])
    assert workspace == tmp_path / "runs" / "2026-01-14"
    run = load_params_file(workspace / "params.yaml").run
    assert (run.lake, run.registry, run.champion) == ("../../lake", "../../registry", None)
    assert (workspace / "gpr_core" / "data" / "lake.py").exists()
    assert (workspace / "gpr_core" / "support" / "errors.py").exists()
    assert not list(workspace.rglob("*.pyc"))


def test_refreshing_keeps_the_pinned_champion(tmp_path, monkeypatch):
    workspace = prepare_workspace(tmp_path, preset("micro"), [SPEC])
    monkeypatch.setattr(
        "components.runners.workspace.ModelStore.champion", lambda self: "2026-01-13-abc"
    )
    prepare_workspace(tmp_path, preset("micro"), [SPEC])
    assert load_params_file(workspace / "params.yaml").run.champion is None


def test_a_new_day_takes_the_champion_of_today(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "components.runners.workspace.ModelStore.champion", lambda self: "2026-01-14-abc"
    )
    micro = preset("micro")
    next_day = replace(micro, run=replace(micro.run, day="2026-01-15"))
    workspace = prepare_workspace(tmp_path, next_day, [SPEC])
    assert load_params_file(workspace / "params.yaml").run.champion == "2026-01-14-abc"


def test_code_that_was_removed_leaves_the_snapshot(tmp_path):
    workspace = prepare_workspace(tmp_path, preset("micro"), [SPEC])
    (workspace / "gpr_core" / "data" / "removed.py").write_text("")
    prepare_workspace(tmp_path, preset("micro"), [SPEC])
    assert not (workspace / "gpr_core" / "data" / "removed.py").exists()
