"""The errors a data engineer meets, by their text."""

from dataclasses import replace
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_contracts.check import check_file, check_table, read_parquet
from data_contracts.drift import DayProfile
from data_contracts.load import load_contract, source_parameters
from data_contracts.profiles import profile_days, profile_partitions
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ArtifactError, ConfigError, ContractError
from tests.data_contracts.cell_changes import with_cells, with_column
from tests.data_contracts.valid_tables import PARAMETERS, START, valid_tables

ALIVE_EVERY_DAY = {"requests", "impressions", "organic_events", "user_stats_daily"}
ONE_EMPTY_DAY = {date(2026, 1, 4): 120, date(2026, 1, 5): 0}


def check(name, table, **options):
    options = {"references": valid_tables(), "parameters": PARAMETERS.get(name), **options}
    references = {other: rows for other, rows in options.pop("references").items() if other != name}
    return check_table(name, table, references=references, **options)


def refuse(name, table, match, **options):
    with pytest.raises(ContractError, match=match):
        check(name, table, **options).raise_if_failed("step corpus_curation")


def test_a_missing_column():
    table = valid_tables()["requests"].drop_columns(["ts"])
    refuse("requests", table, r"requests RQ-COLUMNS: missing column 'ts'")


def test_a_wrong_type():
    table = valid_tables()["requests"]
    table = table.set_column(0, "request_key", table["request_key"].cast(pa.float64()))
    refuse(
        "requests",
        table,
        r"RQ-TYPES: column 'request_key' has type double, the contract says uint64",
    )


def test_nan():
    table = with_column(valid_tables()["impressions"], "p_ctr", float("nan"))
    refuse(
        "impressions",
        table,
        r"IM-FINITE: 1,200 of 1,200 rows have a NaN or infinite value \(p_ctr\), first 5: row 0 "
        r"\(imp_key=#[0-9a-f]{8}, p_ctr=nan\)",
    )


def test_an_event_before_its_request():
    exposed = [START] * 40 + valid_tables()["impressions"]["exposure_ts"].to_pylist()[40:]
    table = with_column(valid_tables()["impressions"], "exposure_ts", exposed)
    refuse(
        "impressions",
        table,
        r"IM-003: 40 of 1,200 rows have an exposure before its request or over an hour after it, "
        r"first 5: row 0 \(imp_key=#[0-9a-f]{8}, wait_ms=-3600000\)",
    )


def test_a_duplicate_key():
    table = valid_tables()["ads"]
    refuse(
        "ads",
        pa.concat_tables([table, table]),
        r"AD-UNIQUE: 60 of 120 rows have a duplicate key, first 5: row 60 \(ad_key=#[0-9a-f]{8}\)",
    )


def test_an_empty_table():
    refuse(
        "ads",
        valid_tables()["ads"].slice(0, 0),
        r"AD-ROWS: the table is empty: zero rows were checked, which is no pass",
    )


def test_a_corrupt_file(tmp_path):
    path = tmp_path / "ads.parquet"
    pq.write_table(valid_tables()["ads"], path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match=r"(?s)ads: the file is not readable Parquet.*ads\.par"):
        check_file("ads", path)


def test_a_missing_file(tmp_path):
    with pytest.raises(ArtifactError, match="ads: file not found"):
        read_parquet(tmp_path / "ads.parquet", where="ads")


def test_a_sound_file(tmp_path):
    path = tmp_path / "day=2026-01-01" / "content.parquet"
    path.parent.mkdir()
    pq.write_table(valid_tables()["content"], path)
    assert check_file("content", path).ok


def test_where_and_how_to_mend_are_part_of_the_message():
    with pytest.raises(
        ContractError,
        match=r"(?s)contract broken: ads 2\.0\.0.*where: step x.*fix: AD-ROWS: check that the day",
    ):
        check("ads", valid_tables()["ads"].slice(0, 0)).raise_if_failed("step x")


def test_a_few_bad_rows_are_set_aside_and_the_rest_goes_on():
    table = with_cells(valid_tables()["requests"], {7: {"scene": 9, "os": -1}, 9: {"net": 7}})
    outcome = check("requests", table)
    outcome.raise_if_failed("here")
    assert outcome.clean.num_rows == 1198
    assert outcome.clean.schema == table.schema
    assert outcome.quarantine["checked_row"].to_pylist() == [7, 9]
    assert outcome.quarantine["broken_rules"].to_pylist() == ["RQ-003,RQ-007", "RQ-008"]


def test_too_many_bad_rows_block():
    table = with_column(valid_tables()["requests"], "scene", 9)
    refuse(
        "requests",
        table,
        r"RQ-SHARE: 1,200 of 1,200 rows \(100 %\) would be quarantined, at most 1 % may",
    )


@pytest.mark.parametrize("name", sorted(set(TABLES) - ALIVE_EVERY_DAY))
def test_an_empty_partition_passes_without_great_expectations(monkeypatch, name):
    monkeypatch.setattr("data_contracts.suite._great_expectations", None)
    empty = valid_tables()[name].slice(0, 0)
    outcome = check(name, empty, is_partition=True, landed=ONE_EMPTY_DAY)
    assert outcome.ok
    assert outcome.clean is empty


@pytest.mark.parametrize("name", sorted(ALIVE_EVERY_DAY))
def test_a_platform_that_lives_has_rows_every_day(name):
    table = valid_tables()[name]
    refuse(name, table.slice(0, 0), "-ROWS: the table is empty", is_partition=True)
    refuse(
        name,
        table,
        rf"(?s){name} ..-ROWS: no row landed on 2026-01-05 \(empty days: 1 of 2, at most 0 may "
        r"be\).*fix: ..-ROWS: check that the day has landed",
        landed=ONE_EMPTY_DAY,
    )


def test_a_source_may_have_quiet_days():
    table, bounds = valid_tables()["requests"], source_parameters("requests", "movielens")
    landed = {date(2026, 1, day): day > 2 for day in range(1, 11)}
    assert check("requests", table, landed=landed, parameters=bounds).ok
    landed[date(2026, 1, 3)] = 0
    refuse(
        "requests", table, "empty days: 3 of 10, at most 2 may be", landed=landed, parameters=bounds
    )


def test_many_empty_days_are_counted_and_the_first_are_named():
    landed = {date(2026, 1, day): 0 for day in range(1, 10)}
    refuse(
        "requests",
        valid_tables()["requests"],
        r"no row landed on 2026-01-01, .*, 2026-01-05, \.\.\. \(empty days: 9 of 9, at most 0",
        landed=landed,
    )


def test_skipped_rules_are_shown_and_may_be_refused():
    outcome = check("requests", valid_tables()["requests"], references={})
    outcome.raise_if_failed("here")
    assert [rule.id for rule in outcome.skipped_rules] == ["RQ-001", "RQ-002"]
    with pytest.raises(ContractError, match="RQ-001: not checked: no reference table users"):
        outcome.raise_if_failed("here", require_all=True)


def test_an_unknown_reference_is_refused():
    with pytest.raises(ConfigError, match=r"(?s)unknown reference table 'user'.*mean 'users'"):
        check_table("ads", valid_tables()["ads"], references={"user": valid_tables()["users"]})


def test_bounds_of_the_caller_win():
    table = valid_tables()["users"]
    strict = check("users", table, parameters={"min_cell_users": 31})
    assert "US-012" in [rule.id for rule in strict.failed_rules]
    assert strict.ok


def test_equal_checks_are_equal():
    table = with_cells(valid_tables()["requests"], {7: {"scene": 9}})
    first, second = check("requests", table), check("requests", table)
    assert first == second
    assert first.quarantine.equals(second.quarantine)


def test_profiles_of_earlier_days_are_history():
    table = valid_tables()["requests"].slice(1080)
    bare = check("requests", table)
    history = [
        DayProfile(
            contract="requests", version="2.0.0", day=f"2025-12-{20 + idx}", rows=1200,
            histograms={}, means={},
        )
        for idx in range(8)
    ]  # fmt: skip
    own = profile_days(load_contract("requests"), table)
    compared = check("requests", table, profiles=[*history, *own])
    status = {rule.id: rule.status for rule in compared.rules}
    assert {rule.id: rule.status for rule in bare.rules}["RQ-050"] == "skipped"
    assert status["RQ-050"] == "failed"
    assert [profile.day for profile in bare.profiles] == ["2026-01-10"]
    assert compared.profiles == (*history, *own)


def test_an_empty_day_is_judged_by_its_volume():
    contract, table = load_contract("ad_events"), valid_tables()["ad_events"]
    [today] = profile_partitions(contract, {date(2026, 1, 11): table.slice(0, 0)})
    days = [replace(profile, rows=100) for profile in profile_days(contract, table)]
    found = {rule.id: rule for rule in check("ad_events", table, profiles=[*days, today]).rules}
    # A day of 100 events varies by 10 from chance alone.
    assert found["EV-050"].message.startswith(
        "on 2026-01-11 robust_sigma of rows against 10 earlier days is 10, expected at most 6"
    )
    assert found["EV-051"].status == "skipped"
