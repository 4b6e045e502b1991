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
from tests.data_contracts.cell_changes import with_cells
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
        "requests 2.0.0: 1,200 rows, 20 rules hold, 0 are broken, 0 were not checked"
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


def test_check_lets_a_partition_be_empty_only_where_the_contract_does(files):
    for name in ("requests", "users"):
        pq.write_table(valid_tables()[name].slice(0, 0), files / f"{name}.parquet")
    options = ("--partition", "--reports", files / "r")
    refused = run("check", "requests", files / "requests.parquet", *options)
    with pytest.raises(
        ContractError, match=r"(?s)RQ-ROWS: the table is empty.*fix: RQ-ROWS: check"
    ):
        raise refused.exception
    assert run("check", "users", files / "users.parquet", *options).exit_code == 0
    quiet = run("check", "requests", files / "requests.parquet", *options, "--source", "movielens")
    assert quiet.exit_code == 0


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


@pytest.fixture
def lake(tmp_path):
    """The ten days of the valid world."""
    filled = Lake(tmp_path / "lake")
    for number in range(1, 11):
        filled.append_day(date(2026, 1, number), _landed(date(2026, 1, number)), source="world")
    return filled


def test_check_refuses_a_lake_with_an_empty_day(lake):
    empty = {name: table.schema.empty_table() for name, table in TABLES.items()}
    lake.append_day(date(2026, 1, 11), empty, source="world")
    done = run("check", "requests", lake.root, "--reports", lake.root / "r")
    message = (
        r"requests RQ-ROWS: no row landed on 2026-01-11 \(empty days: 1 of 11, at most 0 may be\)"
    )
    with pytest.raises(ContractError, match=message):
        raise done.exception


def check_day(lake, number, *, name="requests", path=None):
    """Check one partition against the profiles of the days before it."""
    path = path or lake.path(name, date(2026, 1, number))
    options = ("--partition", "--profiles", lake.root / "profiles", "--reports", lake.root / "r")
    return run("check", name, path, *options)


def test_a_day_is_compared_with_the_stored_days_and_then_stored(lake):
    for number in range(1, 8):
        done = check_day(lake, number)
        assert done.exit_code == 0
        assert f"RQ-050: not checked: history has {number - 1} of 7 days" in done.output
    assert "RQ-05" not in check_day(lake, 8).output
    stored = sorted(path.stem for path in (lake.root / "profiles" / "requests").iterdir())
    assert stored == [f"2026-01-{number:02d}" for number in range(1, 9)]
    few = lake.path("requests", date(2026, 1, 9))
    pq.write_table(pq.read_table(few, partitioning=None).slice(0, 10), few)
    # 110 of 120 requests are missing; a day of 120 varies by their root from chance alone.
    lost = "requests RQ-050: on 2026-01-09 robust_sigma of rows against 8 earlier days is 10.0416"
    assert lost in check_day(lake, 9).output


def test_a_day_that_is_refused_is_not_stored(lake):
    path = lake.path("requests", date(2026, 1, 1))
    rows = pq.read_table(path, partitioning=None)
    pq.write_table(rows.slice(0, 0), path)
    assert isinstance(check_day(lake, 1).exception, ContractError)
    pq.write_table(rows.drop_columns(["scene"]), path)
    assert isinstance(check_day(lake, 1).exception, ContractError)
    assert not (lake.root / "profiles").exists()


def test_a_day_without_rows_is_stored_under_the_day_of_its_folder(lake):
    path = lake.path("ad_events", date(2026, 1, 9))
    pq.write_table(pq.read_table(path, partitioning=None).slice(0, 0), path)
    assert check_day(lake, 9, name="ad_events").exit_code == 0
    assert read_json(lake.root / "profiles" / "ad_events" / "2026-01-09.json")["rows"] == 0


def test_a_file_outside_a_lake_has_the_day_of_its_latest_row(lake, tmp_path):
    path = tmp_path / "part-0.parquet"
    pq.write_table(valid_tables()["ad_events"].slice(28, 28), path)
    assert check_day(lake, 1, name="ad_events", path=path).exit_code == 0
    assert (lake.root / "profiles" / "ad_events" / "2026-01-02.json").exists()
    pq.write_table(valid_tables()["ad_events"].slice(0, 0), path)
    done = check_day(lake, 1, name="ad_events", path=path)
    with pytest.raises(ConfigError, match=r"(?s)day of the partition is not known.*day=YYYY-MM-DD"):
        raise done.exception


def test_stored_profiles_are_for_one_partition(lake):
    done = run("check", "ad_events", lake.root, "--profiles", lake.root / "profiles")
    with pytest.raises(ConfigError, match=r"(?s)this is no daily partition.*fix: add --partition"):
        raise done.exception


def test_check_reads_a_lake_with_all_references(lake, tmp_path):
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
    assert done.output.splitlines() == ["content 2.0.0: 14 rules", "users 1.0.0: 21 rules"]


def test_diff_refuses_a_version_that_did_not_rise(tmp_path):
    raw = yaml.safe_load(contract_path("content").read_text())
    raw["schema"][0]["quality"][0]["arguments"]["value_set"] = [0, 1]
    new = tmp_path / "content.yaml"
    new.write_text(yaml.safe_dump(raw))
    done = run("diff", contract_path("content"), new)
    assert "major  CO-001: value_set [0, 1, 2] -> [0, 1]" in done.output
    with pytest.raises(ContractError, match="does not tell that the change is major"):
        raise done.exception
    raw["version"] = "3.0.0"
    new.write_text(yaml.safe_dump(raw))
    assert run("diff", contract_path("content"), new).exit_code == 0


def test_explain_prints_the_rule():
    assert run("explain", "EV-003").output.startswith("EV-003 of ad_events")
