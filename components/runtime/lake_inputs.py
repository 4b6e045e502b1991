"""Reads lake tables for a range of days and keeps only rows that hold their contracts.

Drift compares the last day with the profiles of the landed days before it. They are kept beside
the partitions, `<lake>/profiles/<table>/<day>.json`, so that each day is profiled once; whether
they are there changes the time of a check, never its result.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from components.runtime.context import StepContext
from data_contracts.check import check_table
from data_contracts.drift import DayProfile
from data_contracts.load import load_contract, source_parameters
from data_contracts.outcome import CheckOutcome, raise_if_any_failed
from data_contracts.profile_store import ProfileStore
from data_contracts.profiles import history_days
from data_contracts.report import write_check_reports
from gpr_core.data.lake import Lake
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ArtifactError

_LOGGER = logging.getLogger("gpr.contracts")

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


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """What was read of one table.

    Attributes:
        rows: All rows, in landing order.
        landed: Landed day -> rows of its partition.
        profiles: Profiles of the last landed days, in order.
    """

    rows: pa.Table
    landed: dict[date, int]
    profiles: list[DayProfile]


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
    store = ProfileStore(lake.root / "profiles")
    wanted = [name for name in _CHECK_ORDER if name in first_days]
    windows = {name: _read_window(lake, store, name, first_days[name], last) for name in wanted}
    tables = {name: window.rows for name, window in windows.items()}
    tables |= read_tables(context.lake, _reference_days(lake, wanted, first_days), last)
    outcomes: list[CheckOutcome] = []
    for done, name in enumerate(wanted):
        context.progress.update(done, len(wanted))
        outcome = check_table(
            name,
            tables[name],
            references={other: rows for other, rows in tables.items() if other != name},
            parameters=source_parameters(name, source),
            profiles=windows[name].profiles,
            landed=windows[name].landed,
        )
        outcomes.append(outcome)
        tables[name] = outcome.clean
    reports = context.reports / "inputs"
    write_check_reports(outcomes, reports)
    raise_if_any_failed(outcomes, f"lake {context.lake} up to {last}", reports=reports)
    _keep_profiles(store, outcomes)
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


def _read_window(lake: Lake, store: ProfileStore, name: str, first: date, last: date) -> _Window:
    """Read one table, and profile the days that its drift rules look at."""
    contract, parts = load_contract(name), lake.read_days(name, first, last)
    hashes = {day: entry.sha256 for day, entry in lake.partitions(name, first, last).items()}
    compared = list(parts)[-1 - history_days(contract) :] if contract.drift else []
    return _Window(
        rows=pa.concat_tables(
            [TABLES[name].schema.empty_table(), *parts.values()]
        ).combine_chunks(),
        landed={day: rows.num_rows for day, rows in parts.items()},
        profiles=store.profiles(contract, {day: parts[day] for day in compared}, hashes),
    )


def _keep_profiles(store: ProfileStore, outcomes: list[CheckOutcome]) -> None:
    """Store what was profiled; a lake that may only be read costs time, not the run."""
    try:
        for outcome in outcomes:
            store.add(outcome.profiles)
    except OSError as error:
        _LOGGER.warning(
            "profiles are not kept, each run makes them again: %s; let the step write to %s",
            error,
            store.folder,
        )


def _reference_days(
    lake: Lake, names: list[str], first_days: Mapping[str, date]
) -> dict[str, date]:
    """Say from when to read the lake tables that the contracts refer to beside those asked for."""
    referred = {other for name in names for other in load_contract(name).reference_names}
    missing = (referred & TABLES.keys()) - first_days.keys()
    return dict.fromkeys(sorted(missing), lake.days()[0])
