"""`gpr contracts`: check a table, lint the contracts, compare versions, explain a rule."""

import math
from datetime import date
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc
import typer

from data_contracts.check import check_table, read_parquet
from data_contracts.drift import DayProfile
from data_contracts.evolution import diff_contracts, is_bump_enough, required_bump
from data_contracts.explain import explain_rule
from data_contracts.lint import lint_contract
from data_contracts.load import (
    contract_names,
    load_contract,
    load_contract_file,
    source_parameters,
)
from data_contracts.model import Contract
from data_contracts.outcome import CheckOutcome, describe
from data_contracts.profile_store import ProfileStore
from data_contracts.report import write_check_reports
from data_contracts.structure import check_shape_of_table
from gpr_core.data.days import day_of_ms, parse_day
from gpr_core.data.lake import Lake
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ConfigError, ContractError
from gpr_core.support.hashing import hash_file

contracts_app = typer.Typer(
    name="contracts", help="Check tables against their data contracts.", no_args_is_help=True
)


@contracts_app.command()
def check(
    table: Annotated[str, typer.Argument(help="Contract name, for example impressions.")],
    path: Annotated[Path, typer.Argument(help="Parquet file, or the folder of a lake.")],
    reference: Annotated[
        list[str] | None, typer.Option(help="Other table as NAME=FILE; a lake brings its own.")
    ] = None,
    parameter: Annotated[list[str] | None, typer.Option(help="Bound as NAME=NUMBER.")] = None,
    source: Annotated[str, typer.Option(help="Take the bounds known for this source.")] = "",
    partition: Annotated[
        bool, typer.Option("--partition", help="The table is one daily partition.")
    ] = False,
    profiles: Annotated[
        Path | None,
        typer.Option(help="Profiles of earlier days; the one of this day is added if it passes."),
    ] = None,
    reports: Annotated[
        Path, typer.Option(help="Folder for the full report and quarantined rows.")
    ] = Path("reports/contracts"),
) -> None:
    """Check one table; exit 0 only if it may be used."""
    references = dict(_reference(item) for item in reference or ())
    landed: dict[date, int] = {}
    if (path / "manifest.json").is_file():
        lake = Lake(path)
        source = source or lake.source()
        references = {**_lake_tables(lake, table), **references}
        rows = references.pop(table)
        landed = _landed(lake, table)
    else:
        rows = read_parquet(path, where=table)
    store = ProfileStore(profiles) if profiles else None
    outcome = check_table(
        table,
        rows,
        references=references,
        parameters=source_parameters(table, source) | dict(map(_number, parameter or ())),
        profiles=_compared(store, table, rows, path, is_partition=partition) if store else None,
        landed=landed,
        is_partition=partition,
    )
    write_check_reports([outcome], reports)
    _print_outcome(outcome, reports)
    outcome.raise_if_failed(str(path), reports=reports)
    if store:
        store.add(outcome.profiles[-1:])


@contracts_app.command()
def lint(
    names: Annotated[list[str] | None, typer.Argument(help="Contracts; all by default.")] = None,
) -> None:
    """Build every suite and run every expression on an empty table."""
    for name in names or contract_names():
        lint_contract(load_contract(name))
        contract = load_contract(name)
        typer.echo(f"{name} {contract.version}: {len(contract.rule_ids)} rules")


@contracts_app.command()
def diff(
    old: Annotated[Path, typer.Argument(help="YAML file of the earlier version.")],
    new: Annotated[Path, typer.Argument(help="YAML file of the later version.")],
) -> None:
    """Say what changed and whether the version rose enough."""
    before, after = load_contract_file(old), load_contract_file(new)
    changes = diff_contracts(before, after)
    for change in changes:
        typer.echo(f"{change.bump:5}  {change.where}: {change.what}")
    needed = required_bump(changes)
    typer.echo(f"{before.version} -> {after.version}, needed: {needed or 'nothing'}")
    if not is_bump_enough(before.version, after.version, needed):
        raise ContractError(
            f"version {after.version} does not tell that the change is {needed or 'none'}",
            where=str(new),
            fix=f"raise the {needed or 'patch'} part of the version",
        )


@contracts_app.command()
def explain(rule: Annotated[str, typer.Argument(help="Rule id, for example EV-003.")]) -> None:
    """Say what a rule demands, why, and how to mend a breach."""
    typer.echo(explain_rule(rule))


def _print_outcome(outcome: CheckOutcome, reports: Path) -> None:
    """Print every broken or skipped rule, then the sum."""
    for rule in (*outcome.failed_rules, *outcome.skipped_rules):
        typer.echo(describe(outcome, rule, reports=reports))
    held = sum(rule.status in ("passed", "vacuous") for rule in outcome.rules)
    typer.echo(
        f"{outcome.contract} {outcome.version}: {outcome.rows:,} rows, {held} rules hold, "
        f"{len(outcome.failed_rules)} are broken, {len(outcome.skipped_rules)} were not checked, "
        f"{outcome.quarantine.num_rows:,} rows quarantined; report in {reports}"
    )


def _lake_tables(lake: Lake, table: str) -> dict[str, pa.Table]:
    """Read a lake table and those its rules refer to."""
    if table not in TABLES:
        raise ConfigError(
            f"{table!r} is no lake table", where=str(lake.root), fix="give its Parquet file instead"
        )
    days = lake.days()
    names = {table, *load_contract(table).reference_names} & TABLES.keys()
    return {name: lake.read(name, days[0], days[-1]) for name in sorted(names)}


def _landed(lake: Lake, table: str) -> dict[date, int]:
    """Count the rows of every partition of a lake table."""
    days = lake.days()
    return {day: item.rows for day, item in lake.partitions(table, days[0], days[-1]).items()}


def _compared(
    store: ProfileStore, table: str, rows: pa.Table, path: Path, *, is_partition: bool
) -> list[DayProfile]:
    """Give the stored profiles of the days before a partition, and its own as the last."""
    if not is_partition:
        raise ConfigError(
            "stored profiles are compared with one day, but this is no daily partition",
            where=str(path),
            fix="add --partition, or leave --profiles out: a whole table brings its own days",
        )
    contract = load_contract(table)
    shape = check_shape_of_table(contract, rows, is_partition=True, empty_days_high=math.inf)
    if any(finding.status == "failed" for finding in shape):
        return []
    day = _day_of(contract, rows, path)
    own = store.profiles(contract, {day: rows}, {day: hash_file(path)})
    return [*store.before(contract, day), *own]


def _day_of(contract: Contract, rows: pa.Table, path: Path) -> date:
    """Tell the day of a partition: that of its folder, as in a lake, or else of its latest row."""
    key, _, day = path.parent.name.partition("=")
    if key == "day":
        return parse_day(day)
    name = contract.partition_column
    latest = pc.max(rows[name]).as_py() if name else None
    if latest is None:
        raise ConfigError(
            "the day of the partition is not known",
            where=str(path),
            fix="put the file into a folder day=YYYY-MM-DD, as in a lake",
        )
    return day_of_ms(latest)


def _reference(text: str) -> tuple[str, pa.Table]:
    """Read one NAME=FILE option."""
    name, path = _split(text, "NAME=FILE")
    return name, read_parquet(Path(path), where=name)


def _number(text: str) -> tuple[str, float]:
    """Read one NAME=NUMBER option."""
    name, number = _split(text, "NAME=NUMBER")
    try:
        return name, float(number)
    except ValueError as error:
        raise ConfigError(f"{number!r} is not a number", where=text, fix="NAME=NUMBER") from error


def _split(text: str, form: str) -> tuple[str, str]:
    """Split an option at its equals sign."""
    name, sign, value = text.partition("=")
    if not (name and sign and value):
        raise ConfigError(f"cannot read {text!r}", where="option", fix=f"write it as {form}")
    return name, value
