"""A workspace a day: made once, refreshed without disturbing DVC."""

from dataclasses import replace

from components.runners.workspace import prepare_workspace
from components.runtime.model_store import Aliases
from components.runtime.step_spec import Artifact, StepSpec
from gpr_core.params import load_params_file, preset
from gpr_core.tokenizer.drift import TokenizerLife

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
    serve(monkeypatch, "2026-01-13-0123456789ab")
    prepare_workspace(tmp_path, preset("micro"), [SPEC])
    assert load_params_file(workspace / "params.yaml").run.champion is None


def test_a_new_day_takes_the_champion_of_the_latest_day_before_it(tmp_path, monkeypatch):
    serve(monkeypatch, "2026-01-14-0123456789ab", "2026-01-16-0123456789ab")
    for day, champion in (
        ("2026-01-14", None),
        ("2026-01-15", "2026-01-14-0123456789ab"),
        ("2026-01-17", "2026-01-16-0123456789ab"),
    ):
        workspace = prepare_workspace(tmp_path, of_day(day), [SPEC])
        assert load_params_file(workspace / "params.yaml").run.champion == champion


def test_what_was_asked_for_is_taken(tmp_path, monkeypatch):
    serve(monkeypatch, "2026-01-14-0123456789ab")
    asked = ("run.champion", "run.refit")
    workspace = prepare_workspace(tmp_path, of_day("2026-01-15"), [SPEC], given=asked)
    run = load_params_file(workspace / "params.yaml").run
    assert (run.champion, run.refit) == (None, False)


def test_an_old_tokenizer_is_refitted_and_the_day_keeps_that_decision(tmp_path, monkeypatch):
    serve(monkeypatch, "2026-01-14-0123456789ab", fitted_day="2025-12-18")
    workspace = prepare_workspace(tmp_path, of_day("2026-01-15"), [SPEC])
    run = load_params_file(workspace / "params.yaml").run
    assert (run.champion, run.refit) == ("2026-01-14-0123456789ab", True)
    serve(monkeypatch, "2026-01-14-0123456789ab")
    prepare_workspace(tmp_path, of_day("2026-01-15"), [SPEC])
    assert load_params_file(workspace / "params.yaml").run.refit
    next_day = prepare_workspace(tmp_path, of_day("2026-01-16"), [SPEC])
    assert not load_params_file(next_day / "params.yaml").run.refit


def serve(monkeypatch, *versions, fitted_day="2026-01-14"):
    """Pretend that these versions were pushed in this order, with a tokenizer of one day."""
    aliases = Aliases(champion=versions[-1], history=versions[:-1])
    life = TokenizerLife(fitted_day=fitted_day, held_out_error=1.0)
    store = "components.runners.workspace.ModelStore"
    monkeypatch.setattr(f"{store}.aliases", lambda self: aliases)
    monkeypatch.setattr(f"{store}.path", lambda self, version: self.root / version)
    monkeypatch.setattr(
        "components.runners.workspace.TokenizerLife.load", classmethod(lambda cls, folder: life)
    )


def of_day(day):
    """The preset `micro` for a training day."""
    micro = preset("micro")
    return replace(micro, run=replace(micro.run, day=day))


def test_code_that_was_removed_leaves_the_snapshot(tmp_path):
    workspace = prepare_workspace(tmp_path, preset("micro"), [SPEC])
    (workspace / "gpr_core" / "data" / "removed.py").write_text("")
    prepare_workspace(tmp_path, preset("micro"), [SPEC])
    assert not (workspace / "gpr_core" / "data" / "removed.py").exists()
