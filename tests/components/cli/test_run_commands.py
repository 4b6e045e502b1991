"""`gpr run` chooses parameters: workspace first, then the home's, then a preset."""

import pytest
import typer

from components.cli import run_commands
from components.pipeline.paths import StepPaths
from components.runtime.exit_codes import ExitCode
from gpr_core.params import load_params_file, preset, render_difference
from gpr_core.support.errors import ConfigError
from gpr_core.support.files import write_json
from tests.components.cli.test_summary import make_evaluation


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A home whose runs stop right after the workspace was made."""
    seen = []

    def remember(workspace, steps, *, only=None):
        seen.append((workspace, only))
        return ExitCode.GATE_REFUSED

    monkeypatch.setattr(run_commands, "reproduce", remember)

    def run(**arguments):
        with pytest.raises(typer.Exit) as caught:
            run_commands.run(home=tmp_path, **arguments)
        assert caught.value.exit_code == ExitCode.GATE_REFUSED
        return load_params_file(seen[-1][0] / "params.yaml"), seen[-1][1]

    return run


def test_a_new_home_starts_from_the_preset_tiny(runs):
    params, _ = runs()
    assert params.run.day == preset("tiny").run.day
    assert params.vaft == preset("tiny").vaft


def test_a_home_with_parameters_uses_them(runs, tmp_path):
    (tmp_path / "params.yaml").write_text(render_difference(preset("micro"), preset("tiny")))
    params, _ = runs()
    assert (params.run.day, params.mtp_pretrain) == ("2026-01-14", preset("micro").mtp_pretrain)


def test_a_day_that_has_begun_keeps_its_parameters(runs):
    runs(preset_name="micro", assignments=["run.seed=5"])
    params, _ = runs(day="2026-01-14")
    assert params.run.seed == 5
    assert params.mtp_pretrain == preset("micro").mtp_pretrain


def test_one_step_alone_can_be_asked_for(runs):
    _, only = runs(only="vaft")
    assert only == "vaft"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"only": "vatf"}, "did you mean 'vaft'"),
        ({"day": "tomorrow"}, "write it as YYYY-MM-DD"),
        ({"assignments": ["run.seed"]}, "write section.key=value"),
        ({"assignments": ["run.lake=x"]}, "run.lake cannot be set"),
    ],
)
def test_wrong_arguments_are_named(tmp_path, arguments, message):
    with pytest.raises(ConfigError, match=message):
        run_commands.run(home=tmp_path, **arguments)


def test_the_status_of_a_day_that_has_not_begun_says_so(tmp_path, capsys):
    run_commands.status(day="2026-01-14", home=tmp_path)
    assert capsys.readouterr().out.count("not started") == 8


@pytest.fixture
def printed(tmp_path, monkeypatch, capsys):
    """What a run prints that ends with a code and with given states beside an evaluation."""

    def finish(code, **states):
        def leave(workspace, steps, *, only=None):
            make_evaluation(workspace / "artifacts" / "evaluation")
            for spec in steps:
                record = {"state": states.get(spec.name, "done")}
                write_json(StepPaths.in_workspace(spec, workspace).status, record)
            return code

        monkeypatch.setattr(run_commands, "reproduce", leave)
        with pytest.raises(typer.Exit) as caught:
            run_commands.run(home=tmp_path, assignments=["evaluation.hit_rate_ks=[10]"])
        assert caught.value.exit_code == code
        return capsys.readouterr().out

    return finish


def test_a_refused_push_still_shows_the_numbers_that_explain_it(printed):
    out = printed(ExitCode.GATE_REFUSED, model_push="failed")
    assert "verdict: do not promote" in out
    assert "[0.200, 0.300]" in out
    assert "pushed  nothing, see the error above" in out


@pytest.mark.parametrize("failed", ["corpus_curation", "evaluation"])
def test_an_old_refused_push_beside_a_step_that_fails_now_shows_no_numbers(printed, failed):
    out = printed(ExitCode.GATE_REFUSED, model_push="failed", **{failed: "failed"})
    assert out == ""


@pytest.mark.parametrize("state", ["running", "not started"])
def test_a_step_that_was_killed_shows_no_numbers_of_an_earlier_run(printed, state):
    assert printed(ExitCode.CRASH, hepo=state, model_push="failed") == ""
