"""`gpr step`: run one step, list the steps."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from components.pipeline.container import run_in_container
from components.pipeline.execute import run_step
from components.pipeline.paths import StepPaths
from components.pipeline.registry import STEPS, find_step

steps_app = typer.Typer(help="Run and list single steps.", no_args_is_help=True)


@steps_app.command("run")
def run(
    name: Annotated[str, typer.Argument(help="Name of the step.")],
    workspace: Annotated[
        Path, typer.Option(help="Folder with params.yaml and artifacts/.")
    ] = Path(),
    executor_input: Annotated[
        str | None, typer.Option(help="Kubeflow's executor input, JSON; given by Kubeflow.")
    ] = None,
) -> None:
    """Run one step; the command that every runner executes.

    Exit codes: 0 done, 10 input refused, 11 output refused, 12 gate refused, 20 crash.
    """
    spec = find_step(name)
    if executor_input is not None:
        raise typer.Exit(int(run_in_container(spec, executor_input)))
    paths = StepPaths.in_workspace(spec, workspace.resolve())
    raise typer.Exit(int(run_step(spec, paths)))


@steps_app.command("list")
def list_steps() -> None:
    """List the steps with what they read, write and demand."""
    table = Table("step", "reads", "writes", "gates", title="pipeline")
    for spec in STEPS:
        reads = [f"lake ({name})" for name in spec.lake_manifests] + list(spec.inputs)
        writes = [artifact.name for artifact in spec.outputs]
        table.add_row(spec.name, "\n".join(reads), "\n".join(writes), "\n".join(spec.gates))
    Console().print(table)
