"""`gpr render`: write or check everything that is made from the registry."""

from pathlib import Path
from typing import Annotated

import typer

from components.pipeline.paths import CODE_ROOT
from components.pipeline.registry import STEPS
from components.runners.dvc_runner import render_dvc_yaml
from gpr_core import __version__
from gpr_core.params import preset, render_params
from gpr_core.support.errors import ConfigError
from gpr_core.support.files import write_text


def rendered_files() -> dict[str, str]:
    """Render everything that is made from the registry and committed.

    Returns:
        Path below the project root -> content.
    """
    from components.runners.kfp_runner import compile_pipeline  # noqa: PLC0415 - optional extra

    return {
        "dvc.yaml": render_dvc_yaml(STEPS),
        "params.yaml": render_params(preset("tiny")),
        "dags/kubeflow/gpr_daily.yaml": compile_pipeline(STEPS, tag=__version__),
    }


def render(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; fail if a file differs.")
    ] = False,
    root: Annotated[Path, typer.Option(help="Project root.")] = CODE_ROOT,
) -> None:
    """Write dvc.yaml, params.yaml and the Kubeflow pipeline, or check that they are current."""
    files = rendered_files()
    current = {
        name: path.read_text(encoding="utf-8") if (path := root / name).exists() else None
        for name in files
    }
    stale = [name for name, text in files.items() if current[name] != text]
    if check and stale:
        raise ConfigError(
            f"out of date: {', '.join(stale)}", where=str(root), fix="run `gpr render` and commit"
        )
    for name in stale:
        write_text(root / name, files[name])
        typer.echo(f"wrote {name}")
