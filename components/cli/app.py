"""The `gpr` command: its groups of subcommands, logging, and how errors reach the shell."""

import logging
import sys

import typer

from components.cli import (
    items_commands,
    lake_commands,
    params_commands,
    render_commands,
    run_commands,
)
from components.cli.step_commands import steps_app
from components.model_push.commands import models_app
from components.runtime.exit_codes import exit_code_of
from data_contracts.commands import contracts_app
from gpr_core.support.errors import GprError

app = typer.Typer(
    name="gpr",
    help="Daily retraining of a generative ad recommender.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("run")(run_commands.run)
app.command("status")(run_commands.status)
app.command("render")(render_commands.render)
app.add_typer(steps_app, name="step")
app.add_typer(lake_commands.lake_app, name="lake")
app.add_typer(items_commands.items_app, name="items")
app.add_typer(params_commands.params_app, name="params")
app.add_typer(contracts_app, name="contracts")
app.add_typer(models_app, name="models")


def main() -> None:
    """Run the command line; a deliberate error is printed, not traced."""
    _show_our_logs()
    try:
        app()
    except GprError as error:
        typer.secho(f"{type(error).__name__}: {error}", err=True, fg=typer.colors.RED)
        sys.exit(int(exit_code_of(error)))


def _show_our_logs() -> None:
    """Print our own log lines; the tools we call keep their own handlers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("gpr")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.handlers = [handler]
