"""The table that a finished run ends with: every metric with its floors beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from gpr_core.evaluation.metrics import METHODS, Metric, metric_table
from gpr_core.support.files import read_json


def summary_table(evaluation: Path, ks: tuple[int, ...]) -> Table:
    """Lay the metrics of an evaluation out, one row a metric and one column a method.

    Args:
        evaluation: The artifact `evaluation`.
        ks: List lengths of the hit rates.

    Returns:
        A table; a cell is the mean and its interval.
    """
    values: dict[str, dict[str, Any]] = read_json(evaluation / "metrics.json")
    verdict = read_json(evaluation / "verdict.json")
    methods = [method for method in METHODS if f"{method.key}/HR_ad@{ks[0]}" in values]
    outcome = "promote" if verdict["promote"] else "do not promote"
    table = Table(
        "metric",
        *[f"{method.label}{' (floor)' if method.is_floor else ''}" for method in methods],
        title=f"day {verdict['evaluation_day']}, verdict: {outcome}",
    )
    for metric in metric_table(ks):
        cells = [_cell(values, f"{method.key}/{metric.key}", metric) for method in methods]
        if any(cells):
            table.add_row(metric.label, *cells)
    return table


def _cell(values: Mapping[str, Mapping[str, Any]], name: str, metric: Metric) -> str:
    """Format one mean with its interval."""
    if name not in values:
        return ""
    value, low, high = (values[name][key] for key in ("value", "ci_low", "ci_high"))
    return f"{value:.{metric.digits}f}\n[{low:.{metric.digits}f}, {high:.{metric.digits}f}]"
