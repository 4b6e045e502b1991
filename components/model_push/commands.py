"""`gpr models`: look at the registry, check a version, roll back."""

from pathlib import Path
from typing import Annotated

import typer

from components.runtime.model_store import ModelStore

models_app = typer.Typer(help="Pushed models: list, check, roll back.", no_args_is_help=True)

_Home = Annotated[Path, typer.Option(help="Shared folder of lake, runs and registry.")]
_Version = Annotated[str, typer.Argument(help="Name of the version.")]


@models_app.command("list")
def list_versions(home: _Home) -> None:
    """List the versions; `*` marks the champion, `-` a version that was rolled back."""
    store = _store(home)
    aliases = store.aliases()
    for version in store.versions():
        mark = "*" if version == aliases.champion else " "
        mark = "-" if version in aliases.withdrawn else mark
        typer.echo(f"{mark} {version}")


@models_app.command()
def show(version: _Version, home: _Home) -> None:
    """Print the model card of a version."""
    card = _store(home).path(version) / "model_card.md"
    typer.echo(card.read_text(encoding="utf-8"))


@models_app.command()
def verify(version: _Version, home: _Home) -> None:
    """Compare every file of a version with its manifest."""
    _store(home).verify(version)
    typer.echo(f"{version} is intact")


@models_app.command()
def rollback(home: _Home) -> None:
    """Return to the champion before; a second time goes back one more."""
    serving, withdrawn = _store(home).rollback()
    typer.echo(f"champion is {serving}; {withdrawn} is withdrawn")


@models_app.command()
def restore(version: _Version, home: _Home) -> None:
    """Make a version the champion again that was rolled back."""
    _store(home).promote(version, restore=True)
    typer.echo(f"champion is {version}")


def _store(home: Path) -> ModelStore:
    """Open the registry of a home."""
    return ModelStore(home / "registry")
