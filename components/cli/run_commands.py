"""`gpr run` and `gpr status`: one day, all steps, through DVC."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from components.cli.lake_commands import default_home
from components.cli.summary import summary_table
from components.pipeline.paths import StepPaths
from components.pipeline.registry import STEPS, find_step
from components.runners.dvc_runner import reproduce
from components.runners.workspace import prepare_workspace, workspace_of
from components.runtime.exit_codes import ExitCode
from gpr_core.data.days import parse_day
from gpr_core.params import Params, load_params_file, override, preset
from gpr_core.support.errors import ConfigError
from gpr_core.support.files import read_json

_SET_BY_THE_HOME = ("run.day", "run.lake", "run.oracle", "run.registry")
# Wide enough for all methods side by side, also where the output is no terminal.
_CONSOLE = Console(width=max(Console().width, 120))


def run(
    day: Annotated[str | None, typer.Option(help="Training day; default: the home's.")] = None,
    preset_name: Annotated[
        str | None, typer.Option("--preset", help="micro or tiny; default: the home's parameters.")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Shared folder; default var/world-PRESET.")
    ] = None,
    only: Annotated[str | None, typer.Option(help="Run this step alone.")] = None,
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value; may be repeated.")
    ] = None,
) -> None:
    """Train, evaluate and push the model of one day; finished steps are not repeated."""
    home = (home or default_home("world", preset_name or "tiny")).resolve()
    changes = _pairs(assignments or [])
    params = _resolve_params(home, day, preset_name, changes)
    if only is not None:
        find_step(only)
    workspace = prepare_workspace(home, params, given=changes.keys())
    code = reproduce(workspace, STEPS, only=only)
    # A refused push must not hide the numbers that explain it.
    if only is None and (code is ExitCode.DONE or _ended_at_push(workspace)):
        _print_summary(workspace)
    if code is not ExitCode.DONE:
        raise typer.Exit(int(code))


def status(
    day: Annotated[str, typer.Option(help="Training day.")],
    home: Annotated[Path, typer.Option(help="Shared folder of lake and runs.")],
) -> None:
    """Show how far the run of a day has come, and why a step failed."""
    workspace = workspace_of(home.resolve(), parse_day(day).isoformat())
    table = Table("step", "state", "seconds", "message", title=str(workspace))
    for spec in STEPS:
        path = StepPaths.in_workspace(spec, workspace).status
        record: dict[str, Any] = read_json(path) if path.exists() else {"state": "not started"}
        seconds = sum(record.get("timings", {}).values())
        table.add_row(spec.name, record["state"], f"{seconds:.1f}", record.get("message", ""))
    _CONSOLE.print(table)


def _resolve_params(
    home: Path, day: str | None, preset_name: str | None, changes: Mapping[str, str]
) -> Params:
    """Start from the workspace of the day, else the home's parameters, else a preset."""
    site = load_params_file(home / "params.yaml") if (home / "params.yaml").exists() else None
    default = site.run.day if site else preset(preset_name or "tiny").run.day
    day = parse_day(day or default).isoformat()
    existing = workspace_of(home, day) / "params.yaml"
    if preset_name is not None:
        params = preset(preset_name)
    elif existing.exists():
        params = load_params_file(existing)
    else:
        params = site or preset("tiny")
    return override(replace(params, run=replace(params.run, day=day)), changes)


def _pairs(assignments: list[str]) -> dict[str, str]:
    """Split `name=value` texts."""
    pairs = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise ConfigError(f"found {assignment!r}", where="--set", fix="write section.key=value")
        if name in _SET_BY_THE_HOME:
            raise ConfigError(
                f"{name} cannot be set: home and day decide it",
                where="--set",
                fix="choose another --home or --day",
            )
        pairs[name] = value
    return pairs


def _ended_at_push(workspace: Path) -> bool:
    """Say whether the push alone failed; beside another failed step, an old one says nothing."""
    paths = [StepPaths.in_workspace(spec, workspace).status for spec in STEPS]
    states = [read_json(path)["state"] if path.exists() else "not started" for path in paths]
    return states == ["done"] * (len(STEPS) - 1) + ["failed"]


def _print_summary(workspace: Path) -> None:
    """Show the metrics with their floors, and where the report is."""
    evaluation = workspace / "artifacts" / "evaluation"
    ks = load_params_file(workspace / "params.yaml").evaluation.hit_rate_ks
    _CONSOLE.print(summary_table(evaluation, ks))
    receipt = workspace / "artifacts" / "push" / "receipt.json"
    version = read_json(receipt)["version"] if receipt.exists() else "nothing, see the error above"
    _CONSOLE.print(f"pushed  {version}")
    _CONSOLE.print(f"report  {evaluation / 'report.html'}", soft_wrap=True)
