"""`gpr bench`: GPR and its baselines on public data, under the protocols that others use."""

import os
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from gpr_core.sequential.item_attributes import (
    attributes_beside,
    no_attributes,
    read_attributes,
)
from gpr_core.sequential.methods import TRAINED, Problem
from gpr_core.sequential.published import published_for
from gpr_core.sequential.sequences import SequenceData, read_sequences
from gpr_core.sequential.study import Row, run_study
from gpr_core.support.errors import ConfigError, suggest_name
from gpr_core.support.files import write_json
from gpr_core.support.machine import describe_machine

bench_app = typer.Typer(help="Measure GPR and its baselines on public data.", no_args_is_help=True)


@bench_app.callback()
def _bench() -> None:
    """Have a group although it has one command."""


@bench_app.command("amazon")
def amazon(
    data: Annotated[
        Path, typer.Option(help="File with `user item item ...` lines, or a folder with one.")
    ],
    json_path: Annotated[
        Path | None,
        typer.Option("--json", help="Write all numbers to this file, method by method."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Seeds, with commas between them.")] = "0",
    methods: Annotated[
        list[str] | None, typer.Option("--method", help="Train this one only; may be repeated.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Methods trained at once; default: one per core.")
    ] = None,
) -> None:
    """Leave one out, rank all items, print Recall and NDCG beside what others published.

    Beside NAME.txt a file NAME_items.jsonl may say what is known of the items.
    """
    chosen = _known(methods or list(TRAINED))
    path = _sequence_file(data)
    sequences = read_sequences(path)
    items = attributes_beside(path)
    known = read_attributes(items, sequences) if items else no_attributes(sequences)
    origin = {"command": shlex.join(["gpr", *sys.argv[1:]]), "machine": describe_machine()}
    rows: list[Row] = []
    # Methods take up to an hour each: what is finished is kept even if the rest is cut off.
    for rows in run_study(
        Problem(sequences, known),
        _numbers(seeds),
        chosen,
        processes=processes or len(os.sched_getaffinity(0)),
    ):
        if json_path is not None:
            write_json(json_path, origin | _record(sequences, rows))
    Console(width=max(Console().width, 140)).print(_table(sequences, rows))


def _sequence_file(path: Path) -> Path:
    """Find the file of sequences."""
    if path.is_file():
        return path
    found = sorted(path.glob("*.txt")) if path.is_dir() else []
    if len(found) != 1:
        state = f"{len(found)} .txt files in" if path.is_dir() else "no such file or folder:"
        raise ConfigError(
            f"{state} {path}", where="--data", fix="give the file of sequences itself"
        )
    return found[0]


def _known(methods: list[str]) -> list[str]:
    """Refuse methods that do not exist."""
    for method in methods:
        if method not in TRAINED:
            raise ConfigError(
                f"unknown method {method!r}", where="--method", fix=suggest_name(method, TRAINED)
            )
    return methods


def _numbers(text: str) -> list[int]:
    """Split `0,1,2`."""
    words = text.split(",")
    if not all(word.strip().isdigit() for word in words):
        raise ConfigError(f"found {text!r}", where="--seeds", fix="write numbers, as in 0,1,2")
    return [int(word) for word in words]


def _table(data: SequenceData, rows: list[Row]) -> Table:
    """Show all rows, what others published last."""
    counts = f"{len(data.all):,} users, {data.num_items:,} items, {len(data.all.item_M):,} actions"
    table = Table(
        Column("method", no_wrap=True),
        "R@5",
        "N@5",
        "R@10",
        "95 % interval",
        "N@10",
        "95 % interval",
        "seeds",
        "minutes",
    )
    table.title = f"{data.name}: {counts}; full ranking, seen items masked"
    for row in rows:
        recall, ndcg = row.metrics["recall@10"], row.metrics["ndcg@10"]
        table.add_row(
            row.name,
            _digits(row.metrics["recall@5"].value),
            _digits(row.metrics["ndcg@5"].value),
            _digits(recall.value),
            f"{_digits(recall.ci_low)} .. {_digits(recall.ci_high)}",
            _digits(ndcg.value),
            f"{_digits(ndcg.ci_low)} .. {_digits(ndcg.ci_high)}",
            str(len(row.outcomes)) if row.is_trained else "",
            f"{sum(outcome.seconds for outcome in row.outcomes) / 60:.1f}",
        )
    for other in published_for(data):
        name = f"published: {other.method} ({other.source})"
        recall_text, ndcg_text = _digits(other.recall_at_10), _digits(other.ndcg_at_10)
        table.add_row(name, "", "", recall_text, "", ndcg_text, "", "", "")
    return table


def _digits(value: float) -> str:
    """Four digits without the zero in front."""
    return f"{value:.4f}".removeprefix("0")


def _record(data: SequenceData, rows: list[Row]) -> dict[str, Any]:
    """Collect everything that the table shows, and what it was made from."""
    return {
        "data": {
            "name": data.name,
            "users": len(data.all),
            "items": data.num_items,
            "interactions": len(data.all.item_M),
        },
        "protocol": "leave one out, full ranking, seen items masked, ties count against the method",
        "rows": [
            {
                "method": row.name,
                "metrics": {name: asdict(interval) for name, interval in row.metrics.items()},
                "by_seed": row.by_seed,
                "runs": [
                    {
                        "seed": one.seed,
                        "parameters": one.num_parameters,
                        "best_epoch": one.best_epoch,
                        "seconds": round(one.seconds, 1),
                    }
                    for one in row.outcomes
                ],
            }
            for row in rows
        ],
        "published": [other._asdict() for other in published_for(data)],
    }
