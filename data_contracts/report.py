"""Reports of a check: JSON for tools, quarantined rows for people, pages for the browser.

    <folder>/check.json                     every rule of every table, no ids, no clock times
    <folder>/quarantine/<contract>.parquet  rows set aside, with their position and broken rules
    <folder>/data_docs/index.html           broken rules, and a page of Great Expectations per table

Equal checks give equal JSON and rows; the pages of Great Expectations carry ids of their own.
The JSON and the pages hold masked keys only; the quarantined rows are complete, so the folder is
never versioned nor published.
"""

import importlib
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.outcome import CheckOutcome, describe, quarantine_path
from gpr_core.support.files import write_bytes, write_json, write_text

_DOCS = "data_docs"


def write_check_reports(outcomes: Sequence[CheckOutcome], folder: Path) -> None:
    """Write all reports of some checks.

    Args:
        outcomes: Outcomes of `check_table`.
        folder: Where to write; a file of an earlier check of the same table is replaced.
    """
    write_json(folder / "check.json", [_record(outcome) for outcome in outcomes])
    for outcome in outcomes:
        path = quarantine_path(folder, outcome.contract)
        path.unlink(missing_ok=True)
        if outcome.quarantine.num_rows:
            _write_parquet(path, outcome.quarantine)
    pages = {outcome.contract: _write_pages(outcome, folder / _DOCS) for outcome in outcomes}
    write_text(folder / _DOCS / "index.html", _index(outcomes, pages, folder))


def _record(outcome: CheckOutcome) -> dict[str, Any]:
    """Turn an outcome into plain JSON."""
    return {
        "contract": outcome.contract,
        "version": outcome.version,
        "ok": outcome.ok,
        "rows": outcome.rows,
        "clean_rows": outcome.clean.num_rows,
        "quarantined_rows": outcome.quarantine.num_rows,
        "rules": [{**asdict(rule), "examples": list(rule.examples)} for rule in outcome.rules],
        "profiles": [asdict(profile) for profile in outcome.profiles],
    }


def _write_parquet(path: Path, table: pa.Table) -> None:
    """Write a Parquet file atomically."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(path, sink.getvalue().to_pybytes())


def _write_pages(outcome: CheckOutcome, folder: Path) -> list[str]:
    """Render the validation results of one table; a table that needed no suite has no page."""
    if not outcome.validations:
        return []
    renderer = importlib.import_module("great_expectations.render.renderer")
    view = importlib.import_module("great_expectations.render.view")
    names = []
    for kind, validation in outcome.validations:
        page = renderer.ValidationResultsPageRenderer().render(validation)
        name = f"{outcome.contract}_{kind}.html"
        write_text(folder / name, view.DefaultJinjaPageView().render(page))
        names.append(name)
    return names


def _index(outcomes: Sequence[CheckOutcome], pages: dict[str, list[str]], folder: Path) -> str:
    """Write the page that leads to the others."""
    rows = []
    for outcome in outcomes:
        links = " ".join(f'<a href="{name}">{name[:-5]}</a>' for name in pages[outcome.contract])
        state = "kept" if outcome.ok else "BROKEN"
        broken = "".join(
            f"<li>{escape(describe(outcome, rule, reports=folder))}<br>fix: {escape(rule.fix)}</li>"
            for rule in (*outcome.failed_rules, *outcome.skipped_rules)
        )
        rows.append(
            f"<tr><td>{outcome.contract} {outcome.version}</td><td>{state}</td>"
            f"<td>{outcome.rows:,}</td><td>{outcome.quarantine.num_rows:,}</td>"
            f"<td>{links}<ul>{broken}</ul></td></tr>"
        )
    head = "<tr><th>contract</th><th>state</th><th>rows</th><th>quarantined</th><th>rules</th></tr>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Data contracts</title>'
        "<style>body{font-family:sans-serif}td,th{padding:4px 12px;text-align:left;"
        "vertical-align:top}</style><h1>Data contracts</h1>"
        f"<table>{head}{''.join(rows)}</table></html>\n"
    )
