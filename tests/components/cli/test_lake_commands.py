"""`gpr lake`."""

from datetime import date

from typer.testing import CliRunner

from components.cli.lake_commands import default_home, lake_app
from gpr_core.data.lake import Lake
from gpr_core.params import load_params_file, preset


def fill(home, through):
    arguments = ["fill", "--preset=micro", f"--home={home}", f"--through={through}"]
    return CliRunner().invoke(lake_app, arguments)


def test_missing_days_are_landed_and_a_new_home_gets_its_parameters(tmp_path):
    assert fill(tmp_path, "2026-01-01").exit_code == 0
    done = fill(tmp_path, "2026-01-02")
    assert "world, 2 days, 2026-01-01 .. 2026-01-02" in done.stdout
    assert Lake(tmp_path / "lake").days() == [date(2026, 1, 1), date(2026, 1, 2)]
    assert load_params_file(tmp_path / "params.yaml") == preset("micro")
    shown = CliRunner().invoke(lake_app, ["show", f"--home={tmp_path}"], env={"COLUMNS": "200"})
    assert "impressions" in shown.stdout
    assert "2026-01-02" in shown.stdout


def test_sources_and_presets_have_homes_of_their_own():
    assert default_home("world", "tiny") != default_home("movielens", "tiny")
