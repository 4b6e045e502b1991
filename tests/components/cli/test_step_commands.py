"""`gpr step`."""

from typer.testing import CliRunner

from components.cli.step_commands import steps_app
from components.pipeline.registry import STEPS


def test_all_steps_are_listed():
    done = CliRunner().invoke(steps_app, ["list"], env={"COLUMNS": "200"})
    assert done.exit_code == 0
    assert all(spec.name in done.stdout for spec in STEPS)


def test_a_step_without_its_inputs_ends_with_the_exit_code_of_a_refused_input(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("components.pipeline.execute._die_with_parent", lambda: None)
    (tmp_path / "params.yaml").write_text("run: {day: '2026-01-14', threads: 1}\n")
    done = CliRunner().invoke(steps_app, ["run", "vaft", f"--workspace={tmp_path}"])
    assert done.exit_code == 10
