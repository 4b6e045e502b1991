"""`gpr run` chooses parameters: workspace first, then the home's, then a preset."""

import pytest
import typer

from components.cli import run_commands
from components.runtime.exit_codes import ExitCode
from gpr_core.params import load_params_file, preset, render_difference
from gpr_core.support.errors import ConfigError


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
