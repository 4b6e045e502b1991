"""`gpr params`."""

from typer.testing import CliRunner

from components.cli.params_commands import params_app
from gpr_core.params import preset, render_params


def test_a_preset_is_printed_as_params_yaml():
    done = CliRunner().invoke(params_app, ["show", "--preset", "micro"])
    assert done.stdout == render_params(preset("micro"))


def test_differences_are_listed_and_nothing_else(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("run: {day: '2026-03-01', seed: 9}\n")
    done = CliRunner().invoke(params_app, ["diff", str(path)], env={"COLUMNS": "200"})
    assert "run.seed" in done.stdout
    assert "vaft" not in done.stdout
