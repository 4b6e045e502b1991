from datetime import date

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import CliRunner

from data_contracts.commands import contracts_app
from data_contracts.load import contract_path
from gpr_core.data.days import day_end_ms, day_start_ms
from gpr_core.data.lake import Lake
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ConfigError, ContractError
from gpr_core.support.files import read_json
from tests.data_contracts.broken_tables import with_cells
from tests.data_contracts.valid_tables import valid_tables


def run(*arguments):
    return CliRunner().invoke(contracts_app, [str(item) for item in arguments])


@pytest.fixture
def files(tmp_path):
    for name in ("requests", "users"):
        pq.write_table(valid_tables()[name], tmp_path / f"{name}.parquet")
    return tmp_path


def test_check_says_what_holds(files):
    done = run(
        "check", "requests", files / "requests.parquet", "--reference",
        f"users={files / 'users.parquet'}", "--reports", files / "reports",
    )  # fmt: skip
    assert done.exit_code == 0
    assert done.output.startswith(
        "requests 1.0.0: 1,200 rows, 20 rules hold, 0 are broken, 0 were not checked"
    )


def test_check_shows_bad_rows_and_where_they_are(files):
    table = with_cells(valid_tables()["requests"], {7: {"scene": 9}})
    pq.write_table(table, files / "requests.parquet")
    done = run("check", "requests", files / "requests.parquet", "--reports", files / "reports")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert lines[0].startswith("requests RQ-003: 1 of 1,200 rows have an unknown scene, first 1: ")
    assert lines[0].endswith(f"quarantined at {files}/reports/quarantine/requests.parquet")
    assert lines[1].startswith("requests RQ-001: not checked: no reference table users was given")
    [record] = read_json(files / "reports" / "check.json")
    assert record["quarantined_rows"] == 1


def test_check_refuses_a_broken_table(files):
    pq.write_table(valid_tables()["requests"].slice(0, 0), files / "requests.parquet")
    done = run("check", "requests", files / "requests.parquet", "--reports", files / "reports")
    assert isinstance(done.exception, ContractError)
    daily = run(
        "check", "requests", files / "requests.parquet", "--partition", "--reports", files / "r"
    )
    assert daily.exit_code == 0


def test_check_takes_bounds(files):
    path = files / "users.parquet"
    loose = run("check", "users", path, "--source", "world", "--reports", files / "r")
    strict = run(
        "check", "users", path, "--parameter", "min_cell_users=99", "--reports", files / "r"
    )
    assert "US-012" not in loose.output
    assert "US-012: 60 of 60 rows have" in strict.output


@pytest.mark.parametrize(
    ("option", "value", "match"),
    [
        ("--parameter", "min_cell_users", "cannot read 'min_cell_users'"),
        ("--parameter", "min_cell_users=many", "'many' is not a number"),
        ("--reference", "=x", "cannot read '=x'"),
    ],
)
def test_check_refuses_options_it_cannot_read(files, option, value, match):
    done = run("check", "users", files / "users.parquet", option, value)
    with pytest.raises(ConfigError, match=match):
        raise done.exception


def test_check_reads_a_lake_with_all_references(tmp_path):
    lake = Lake(tmp_path / "lake")
    for number in range(1, 11):
        lake.append_day(date(2026, 1, number), _landed(date(2026, 1, number)), source="world")
    done = run("check", "ad_events", lake.root, "--reports", tmp_path / "r")
    assert "280 rows" in done.output
    assert "0 were not checked" in done.output
    other = run("check", "timelines", lake.root, "--reports", tmp_path / "r")
    with pytest.raises(ConfigError, match="'timelines' is no lake table"):
        raise other.exception


def _landed(day):
    """The rows of the valid world that land on one day."""
    first, end = day_start_ms(day), day_end_ms(day)
    rows = {}
    for name, table in TABLES.items():
        whole = valid_tables()[name].cast(table.schema)
        landing = whole[table.landing_ts].to_numpy()
        rows[name] = whole.filter((landing >= first) & (landing < end))
    return rows


def test_lint_counts_rules():
    done = run("lint", "content", "users")
    assert done.output.splitlines() == ["content 1.0.0: 14 rules", "users 1.0.0: 21 rules"]


def test_diff_refuses_a_version_that_did_not_rise(tmp_path):
    raw = yaml.safe_load(contract_path("content").read_text())
    raw["schema"][0]["quality"][0]["arguments"]["value_set"] = [0, 1]
    new = tmp_path / "content.yaml"
    new.write_text(yaml.safe_dump(raw))
    done = run("diff", contract_path("content"), new)
    assert "major  CO-001: value_set [0, 1, 2] -> [0, 1]" in done.output
    with pytest.raises(ContractError, match="does not tell that the change is major"):
        raise done.exception
    raw["version"] = "2.0.0"
    new.write_text(yaml.safe_dump(raw))
    assert run("diff", contract_path("content"), new).exit_code == 0


def test_explain_prints_the_rule():
    assert run("explain", "EV-003").output.startswith("EV-003 of ad_events")
