"""`gpr explain`: a look into one decode of a finished day."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from components.evaluation.day import curate_evaluation_day, prepare_evaluation_day
from components.evaluation.decodes import example_decode
from components.evaluation.spec import SPEC
from components.pipeline.execute import load_params
from components.pipeline.manifest import verify_artifact
from components.pipeline.paths import StepPaths
from components.runtime.context import StepContext
from gpr_core.data.days import day_end_ms, parse_day
from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.decode_view import NUMBERS, DecodeView, LevelView
from gpr_core.generation.explanation import FATES, MEANINGS, Fate
from gpr_core.support.device import resolve_device
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.support.progress import Progress

_STYLES = {
    Fate.KEPT: "blue",
    Fate.KEPT_BY_VALUE: "green",
    Fate.CUT_BY_VALUE: "yellow",
    Fate.CUT_BY_SCORE: "dim",
    Fate.NO_ELIGIBLE_AD: "red",
}
# Wide enough for all columns, also where the output is no terminal.
_LEAST_WIDTH = 120


def explain(
    request: Annotated[
        str | None, typer.Argument(help="Key of a request of the evaluation day.")
    ] = None,
    workspace: Annotated[
        Path, typer.Option(help="Folder of a finished day, with params.yaml and artifacts/.")
    ] = Path(),
) -> None:
    """Show which prefixes one decode kept, and which were cut by what, level by level."""
    workspace = workspace.resolve()
    known = _evaluated_keys(workspace)
    key = _parse_key(request, known)
    with TemporaryDirectory() as folder:
        view = _look(_make_context(workspace, Path(folder)), key, known)
    _print(view)


def _evaluated_keys(workspace: Path) -> list[int]:
    """Read the keys of the requests that the run evaluated."""
    path = workspace / "artifacts" / "evaluation" / "per_request.parquet"
    if not path.exists():
        raise ArtifactError(
            "there is no evaluated day in this folder",
            where=str(path),
            fix="go to HOME/runs/DAY of a finished day, or name it with --workspace",
        )
    keys: list[int] = pq.read_table(path, columns=["request_key"])["request_key"].to_pylist()
    return keys


def _parse_key(request: str | None, known: Sequence[int]) -> int:
    """Turn the argument into a key."""
    if request is None:
        raise ConfigError("no request is named", where="gpr explain REQUEST", fix=_hint(known))
    if not request.isdecimal():
        raise ConfigError(
            f"found {request!r}, expected a request key, a positive whole number",
            where="gpr explain REQUEST",
            fix=_hint(known),
        )
    return int(request)


def _hint(known: Sequence[int]) -> str:
    """Say how to find a request."""
    examples = ", ".join(str(key) for key in known[:3])
    return (
        f"use for example {examples}; all evaluated requests are in the column request_key of "
        "artifacts/evaluation/per_request.parquet"
    )


def _make_context(workspace: Path, folder: Path) -> StepContext[EvaluationConfig]:
    """Assemble what the evaluation had; whatever is written goes into a folder of its own."""
    paths = StepPaths.in_workspace(SPEC, workspace)
    run, params = load_params(SPEC, EvaluationConfig, paths.params)
    for artifact in paths.inputs.values():
        verify_artifact(artifact, step=SPEC.name)
    torch.set_num_threads(run.threads)
    day = parse_day(run.day)
    return StepContext(
        day=day,
        cutoff_ts=day_end_ms(day),
        seed=run.seed,
        threads=run.threads,
        device=resolve_device(run.device),
        params=params,
        inputs=paths.inputs,
        outputs={},
        scratch=folder,
        plots=folder,
        reports=folder,
        lake=paths.base / run.lake,
        oracle=paths.base / run.oracle,
        registry=paths.base / run.registry,
        champion=run.champion,
        progress=Progress("explain"),
    )


def _look(context: StepContext[EvaluationConfig], key: int, known: Sequence[int]) -> DecodeView:
    """Set the evaluation day up for one request, and decode it."""
    evaluation_day = context.day + timedelta(days=1)
    curated, thoughts = curate_evaluation_day(context, evaluation_day)
    mine = _only(curated.decisions, key)
    if not mine.num_rows:
        raise ConfigError(
            f"request {key} is no real request of {evaluation_day}",
            where="gpr explain REQUEST",
            fix=_hint(known),
        )
    day = prepare_evaluation_day(context, replace(curated, decisions=mine), thoughts)
    return example_decode(context, day, curated.canonical["ads"])


def _only(decisions: pa.Table, key: int) -> pa.Table:
    """Keep the decision of one request, unless it was rehearsed."""
    is_real = pc.invert(decisions["is_synthetic"])
    # Compared by NumPy, which also takes a number that is too large to be a key.
    is_mine = pa.array(decisions["request_key"].to_numpy() == key)
    return decisions.filter(pc.and_(is_real, is_mine))


def _print(view: DecodeView) -> None:
    """Print a table per level, and what the fates mean."""
    console = Console(width=max(Console().width, _LEAST_WIDTH), highlight=False)
    console.print(
        f"request {view.request_key}: {view.num_eligible:,} of {view.num_ads:,} ads are eligible"
    )
    for level in view.levels:
        counts = [f"{count:,} {fate}" for fate, count in level.counts.items() if count]
        console.print(f"\n[bold]{level.title()}[/bold]: {', '.join(counts)}")
        console.print(_table(level))
    for fate in FATES:
        console.print(Text(f"{fate}: ", _STYLES[fate]).append(MEANINGS[fate], "default"))


def _table(level: LevelView) -> Table:
    """Lay a level out, the foremost prefixes of every fate."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for name in ("fate", "codes"):
        table.add_column(name, no_wrap=True)
    table.add_column("titles below")
    for name in NUMBERS:
        table.add_column(name, justify="right", no_wrap=True)
    for _, rows in groupby(level.rows, key=attrgetter("fate")):
        *others, last = rows
        for row in (*others, last):
            fate = Text(row.fate, _STYLES[row.fate])
            cells = (row.name(), row.label, *row.numbers())
            table.add_row(fate, *cells, end_section=row is last)
    return table
