"""`gpr params`: show presets and what a run changes."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gpr_core.params import differences, load_params_file, preset, render_params

params_app = typer.Typer(help="Show parameters and presets.", no_args_is_help=True)


@params_app.command("show")
def show(name: Annotated[str, typer.Option("--preset", help="micro or tiny.")] = "tiny") -> None:
    """Print a preset as params.yaml."""
    typer.echo(render_params(preset(name)), nl=False)


@params_app.command("diff")
def diff(
    path: Annotated[Path, typer.Argument(help="A params.yaml.")] = Path("params.yaml"),
    name: Annotated[str, typer.Option("--preset", help="Preset to compare with.")] = "tiny",
) -> None:
    """Check a params.yaml and show where it differs from a preset."""
    table = Table("parameter", str(path), name)
    for parameter, (ours, theirs) in differences(load_params_file(path), preset(name)).items():
        table.add_row(parameter, str(ours), str(theirs))
    Console().print(table)
