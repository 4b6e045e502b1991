"""Reads lake tables for a range of days and keeps only rows that hold their contracts."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.runtime.context import StepContext
from data_contracts.check import check_table
from data_contracts.load import load_contract, source_parameters
from data_contracts.outcome import CheckOutcome, raise_if_any_failed
from data_contracts.report import write_check_reports
from gpr_core.data.lake import Lake
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ArtifactError

# A table comes after those that its rules refer to, so that it is checked against clean rows.
_CHECK_ORDER = (
    "users",
    "user_stats_daily",
    "embeddings",
    "ads",
    "ad_versions",
    "content",
    "requests",
    "impressions",
    "ad_spend_ledger",
    "ad_events",
    "organic_events",
    "thoughts",
)


def read_checked(
    context: StepContext[Any], first_days: Mapping[str, date], last: date
) -> dict[str, pa.Table]:
    """Read tables, check bytes and contracts, and set bad rows aside.

    Reports and quarantined rows go to `context.reports / "inputs"`, also when a table is refused.

    Args:
        context: The step.
        first_days: Table name -> first landing day to read.
        last: Last landing day, included, the same for all tables.

    Returns:
        Table name -> rows that hold their contract, in landing order.

    Raises:
        ArtifactError: If the last day has not landed, or a partition is missing or corrupt.
        ContractError: If a table must not be used.
    """
    lake = Lake(context.lake)
    if last not in lake.days():
        raise ArtifactError(
            f"day {last} has not landed in the lake; the first day is {first_lake_day(context)}",
            where=str(lake.root),
            fix=f"run `gpr lake fill --through {last}`",
        )
    source = lake.source()
    tables = read_tables(context.lake, first_days, last)
    wanted = [name for name in _CHECK_ORDER if name in tables]
    tables |= read_tables(context.lake, _reference_days(lake, wanted, first_days), last)
    outcomes: list[CheckOutcome] = []
    for done, name in enumerate(wanted):
        context.progress.update(done, len(wanted))
        others = {other: rows for other, rows in tables.items() if other != name}
        parameters = source_parameters(name, source)
        outcome = check_table(name, tables[name], references=others, parameters=parameters)
        outcomes.append(outcome)
        tables[name] = outcome.clean
    reports = context.reports / "inputs"
    write_check_reports(outcomes, reports)
    raise_if_any_failed(outcomes, f"lake {context.lake} up to {last}", reports=reports)
    return {name: tables[name] for name in wanted}


def first_lake_day(context: StepContext[Any]) -> date:
    """Tell when the lake begins.

    Args:
        context: The step.

    Returns:
        Its first landed day.

    Raises:
        ArtifactError: If the lake is empty.
    """
    days = Lake(context.lake).days()
    if not days:
        raise ArtifactError(
            "the lake is empty",
            where=str(context.lake),
            fix=f"run `gpr lake fill --source world --through {context.day}`",
        )
    return days[0]


def read_tables(lake_root: Path, first_days: Mapping[str, date], last: date) -> dict[str, pa.Table]:
    """Read tables whose rows were checked before; only the bytes are verified.

    Args:
        lake_root: Folder of the lake.
        first_days: Table name -> first landing day to read.
        last: Last landing day, included.

    Returns:
        Table name -> all rows, in landing order.

    Raises:
        ArtifactError: If a partition is missing or corrupt.
    """
    lake = Lake(lake_root)
    return {name: lake.read(name, first, last) for name, first in first_days.items()}


def _reference_days(
    lake: Lake, names: list[str], first_days: Mapping[str, date]
) -> dict[str, date]:
    """Say from when to read the lake tables that the contracts refer to beside those asked for."""
    referred = {other for name in names for other in load_contract(name).reference_names}
    missing = (referred & TABLES.keys()) - first_days.keys()
    return dict.fromkeys(sorted(missing), lake.days()[0])
