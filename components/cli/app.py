"""The `gpr` command: its groups of subcommands, logging, and how errors reach the shell.

Each group is imported when it is asked for: a step that starts eight times a day must not wait
for the adapters of the lake, nor `gpr params` for torch.
"""

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup

from components.runtime.exit_codes import exit_code_of
from gpr_core.support.errors import GprError
from gpr_core.support.logs import show_our_logs

_COMMANDS = {
    "run": "components.cli.run_commands:run",
    "status": "components.cli.run_commands:status",
    "explain": "components.cli.explain_commands:explain",
    "render": "components.cli.render_commands:render",
    "step": "components.cli.step_commands:steps_app",
    "lake": "components.cli.lake_commands:lake_app",
    "items": "components.cli.items_commands:items_app",
    "bench": "components.cli.bench_commands:bench_app",
    "params": "components.cli.params_commands:params_app",
    "contracts": "data_contracts.commands:contracts_app",
    "models": "components.model_push.commands:models_app",
}


class _Commands(Mapping[str, Any]):
    """Subcommands by name, each imported when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        """Import one subcommand."""
        return _load(name, _COMMANDS[name])

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(_COMMANDS)

    def __len__(self) -> int:
        """Count the subcommands."""
        return len(_COMMANDS)


@cache
def _load(name: str, place: str) -> Any:
    """Turn a function or a group, given as module:attribute, into a command."""
    module, attribute = place.split(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        group = typer.main.get_group(found)
        group.name = name
        return group
    alone = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
    alone.command(name)(found)
    return typer.main.get_command(alone)


class _Group(TyperGroup):
    """The root, which knows the names of its subcommands only."""

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        self.commands = cast("Any", _Commands())


app = typer.Typer(
    name="gpr",
    cls=_Group,
    help="Daily retraining of a generative ad recommender.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    """Have a root although no subcommand is known yet."""


def main() -> None:
    """Run the command line; a deliberate error is printed, not traced."""
    show_our_logs()
    try:
        app()
    except GprError as error:
        typer.secho(f"{type(error).__name__}: {error}", err=True, fg=typer.colors.RED)
        sys.exit(int(exit_code_of(error)))
