"""`gpr contracts`: check a table, lint the contracts, compare versions, explain a rule."""

from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from data_contracts.check import check_table, read_parquet
from data_contracts.evolution import diff_contracts, is_bump_enough, required_bump
from data_contracts.explain import explain_rule
from data_contracts.lint import lint_contract
from data_contracts.load import (
    contract_names,
    load_contract,
    load_contract_file,
    source_parameters,
)
from data_contracts.outcome import CheckOutcome, describe
from data_contracts.report import write_check_reports
from gpr_core.data.lake import Lake
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ConfigError, ContractError

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
    reports: Annotated[
        Path, typer.Option(help="Folder for the full report and quarantined rows.")
    ] = Path("reports/contracts"),
) -> None:
    """Check one table; exit 0 only if it may be used."""
    references = dict(_reference(item) for item in reference or ())
    if (path / "manifest.json").is_file():
        lake = Lake(path)
        source = source or lake.source()
        references = {**_lake_tables(lake, table), **references}
        rows = references.pop(table)
    else:
        rows = read_parquet(path, where=table)
    bounds = source_parameters(table, source) | dict(_number(item) for item in parameter or ())
    outcome = check_table(
        table, rows, references=references, parameters=bounds, is_partition=partition
    )
    write_check_reports([outcome], reports)
    _print_outcome(outcome, reports)
    outcome.raise_if_failed(str(path), reports=reports)


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
