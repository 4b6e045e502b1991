"""Every kind of bad input has its own clear message, its exit code, and leaves no output.

The step is the real `corpus_curation` on a real micro lake of which one partition was spoiled. The
spoiled lake's manifest is consistent, except where the file itself is what is wrong.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.pipeline import execute
from components.pipeline.paths import StepPaths
from components.pipeline.registry import find_step
from components.runners.workspace import prepare_workspace
from components.runtime.exit_codes import ExitCode
from gpr_core.data.days import parse_day
from gpr_core.data.lake import Lake
from gpr_core.params import preset
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_file

GPR = str(Path(sys.executable).with_name("gpr"))
CURATION = find_step("corpus_curation")
DAY = parse_day("2026-01-10")


@pytest.fixture(scope="module")
def lake_home(tmp_path_factory):
    """A home with a micro lake."""
    home = tmp_path_factory.mktemp("home")
    arguments = [GPR, "lake", "fill", "--preset=micro", f"--home={home}", "--through=2026-01-15"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def home(lake_home, tmp_path, monkeypatch):
    """A copy of it that a test may spoil."""
    monkeypatch.setattr(execute, "_die_with_parent", lambda: None)
    shutil.copytree(lake_home, tmp_path / "home")
    return tmp_path / "home"


def spoil(home, table, change):
    """Replace one partition by a changed one and record its hash in every manifest."""
    lake = Lake(home / "lake")
    path = lake.path(table, DAY)
    pq.write_table(change(pq.read_table(path, partitioning=None)), path)
    for manifest_path in (home / "lake").rglob("*.json"):
        manifest = read_json(manifest_path)
        entry = manifest.get("days", {}).get(DAY.isoformat(), {}).get(table)
        if entry is not None:
            rows = pq.read_metadata(path).num_rows
            entry.update(sha256=hash_file(path), bytes=path.stat().st_size, rows=rows)
            write_json(manifest_path, manifest)


def curate(home, params=None):
    """Run the step; give its exit code, its message and its workspace."""
    workspace = prepare_workspace(home, params or preset("micro"), [CURATION])
    paths = StepPaths.in_workspace(CURATION, workspace)
    code = execute.run_step(CURATION, paths)
    return code, read_json(paths.status).get("message", ""), workspace


def replace_column(name, make):
    """Make a change that replaces one column."""

    def change(rows):
        column = make(rows[name].combine_chunks())
        return rows.set_column(rows.schema.get_field_index(name), name, column)

    return change


def all_become(value):
    """Replace all values of a column."""
    return lambda column: pa.array(np.full(len(column), value), column.type)


BAD_TABLES = {
    "missing_column": (
        "requests",
        lambda rows: rows.drop_columns(["scene"]),
        r"requests: column 'scene' is missing",
    ),
    "wrong_type": (
        "requests",
        replace_column("scene", lambda column: pc.cast(column, pa.string())),
        r"requests: column 'scene' has type string, expected int8",
    ),
    "nan": (
        "impressions",
        replace_column("p_ctr", all_become(float("nan"))),
        r"impressions IM-FINITE: \d+ of [\d,]+ rows have a NaN or infinite value \(p_ctr\)",
    ),
    "nan_bid": (
        "ad_versions",
        replace_column("bid_micros", lambda column: pa.array(np.full(len(column), np.nan))),
        r"ad_versions: column 'bid_micros' has type double, expected int64",
    ),
    "bid_below_zero": (
        "ad_versions",
        replace_column("bid_micros", all_become(-1)),
        r"ad_versions AV-002: \d+ of \d+ rows have bid_micros <= 0",
    ),
    "event_before_request": (
        "impressions",
        replace_column("exposure_ts", lambda column: pc.subtract(column, 3_600_000)),
        r"impressions IM-003: 3\d\d of [\d,]+ rows have an exposure before its request",
    ),
    "duplicate_key": (
        "requests",
        lambda rows: pa.concat_tables([rows, rows]),
        r"requests RQ-UNIQUE: \d+ of [\d,]+ rows have a duplicate key",
    ),
}


@pytest.mark.parametrize("kind", sorted(BAD_TABLES))
def test_a_bad_table_is_refused_by_name(home, kind):
    table, change, pattern = BAD_TABLES[kind]
    spoil(home, table, change)
    code, message, workspace = curate(home)
    assert code is ExitCode.INPUT_REFUSED, message
    assert re.search(pattern, message), message
    assert not (workspace / "artifacts").exists()


def test_one_day_without_rows_is_refused_for_every_table_that_lives(home):
    rules = {
        "user_stats_daily": "UD-ROWS",
        "requests": "RQ-ROWS",
        "impressions": "IM-ROWS",
        "organic_events": "OE-ROWS",
    }
    for table in rules:
        spoil(home, table, lambda rows: rows.slice(0, 0))
    code, message, workspace = curate(home)
    assert code is ExitCode.INPUT_REFUSED
    for table, rule in rules.items():
        text = f"{table} {rule}: no row landed on {DAY} (empty days: 1 of 14, at most 0 may be)"
        assert text in message
    assert not (workspace / "artifacts").exists()


def test_a_day_on_which_no_outcome_became_known_is_no_bad_input(home):
    spoil(home, "ad_events", lambda rows: rows.slice(0, 0))
    code, message, _ = curate(home)
    assert code is ExitCode.DONE, message


def test_a_corrupt_file_is_refused(home):
    path = Lake(home / "lake").path("requests", DAY)
    path.write_bytes(b"PAR1 and then nothing of use")
    code, message, workspace = curate(home)
    assert code is ExitCode.INPUT_REFUSED
    assert "partition is corrupt: its bytes differ from the hash in the manifest" in message
    assert not (workspace / "artifacts").exists()


def test_a_file_that_is_no_parquet_is_refused_even_if_its_hash_is_right(home):
    lake = Lake(home / "lake")
    path = lake.path("requests", DAY)
    path.write_bytes(b"PAR1 and then nothing of use")
    for manifest_path in (home / "lake").rglob("*.json"):
        text = manifest_path.read_text()
        manifest = json.loads(text)
        entry = manifest.get("days", {}).get(DAY.isoformat(), {}).get("requests")
        if entry is not None:
            entry.update(sha256=hash_file(path))
            write_json(manifest_path, manifest)
    code, message, _ = curate(home)
    assert code is ExitCode.INPUT_REFUSED
    assert "partition is not readable Parquet" in message


def test_a_lake_without_the_day_is_refused(home):
    from dataclasses import replace

    micro = preset("micro")
    params = replace(micro, run=replace(micro.run, day="2026-02-14"))
    code, message, _ = curate(home, params)
    assert code is ExitCode.INPUT_REFUSED
    assert "the lake has no train manifest of day 2026-02-14" in message
