from datetime import date
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from components.runtime.lake_inputs import read_checked, read_tables
from data_contracts.profiles import profile_partitions
from gpr_core.data.tables import HOUR_MS
from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.progress import Progress
from tests.lake_rows import (
    DAY_0,
    land,
    make_embedding,
    make_lake_tables,
    make_organic_event,
    make_request,
)

DAY = date(2026, 1, 1)
CONTENT = {"content_key": 11, "kind": 2, "cat_l1": 2, "cat_l2": 3, "topic_brand": 5} | {
    "author_key": 1,
    "publish_ts": DAY_0,
    "content_hash": 2,
    "emb_row": 1,
}
EMBEDDING = make_embedding(1, [1, 0, 0, 1])
PERSON = {"user_key": 1, "valid_from": DAY_0, "age_bucket": 3, "gender": 2, "geo_l1": 4} | {
    "geo_l2": 9,
    "device_tier": 1,
    "consent": 1,
    "reg_ts": DAY_0,
}
WANTED = dict.fromkeys(("organic_events", "content", "users"), DAY)


def make_context(tmp_path):
    """Build the part of a step context that reading needs."""
    return SimpleNamespace(
        day=DAY,
        lake=tmp_path / "lake",
        reports=tmp_path / "reports",
        progress=Progress("test"),
    )


def land_events(tmp_path, num_bad):
    """Land 1,000 organic events, some of which were ingested before they happened."""
    events = [
        make_organic_event(key, ts=DAY_0 + HOUR_MS, ingest_ts=DAY_0 + HOUR_MS - (key <= num_bad))
        for key in range(1, 1001)
    ]
    entities = {"users": [PERSON], "content": [CONTENT], "embeddings": [EMBEDDING]}
    tables = make_lake_tables(**entities, organic_events=events)
    land(tmp_path / "lake", tables, 2)
    return make_context(tmp_path)


def test_bad_rows_are_set_aside_and_reported(tmp_path):
    context = land_events(tmp_path, num_bad=1)
    tables = read_checked(context, WANTED, DAY)
    assert set(tables) == set(WANTED)
    assert tables["organic_events"]["ev_key"].to_pylist() == list(range(2, 1001))
    reports = context.reports / "inputs"
    set_aside = pq.read_table(reports / "quarantine" / "organic_events.parquet")
    assert set_aside["ev_key"].to_pylist() == [1]


def test_a_table_that_is_mostly_bad_is_refused_with_the_place_of_the_report(tmp_path):
    context = land_events(tmp_path, num_bad=900)
    with pytest.raises(ContractError, match="contract broken: organic_events") as caught:
        read_checked(context, WANTED, DAY)
    assert str(context.reports / "inputs") in str(caught.value)
    assert (context.reports / "inputs" / "quarantine" / "organic_events.parquet").exists()


def test_only_the_days_asked_for_are_read(tmp_path):
    events = [make_organic_event(day, ts=DAY_0 + (24 * day + 1) * HOUR_MS) for day in range(3)]
    land(tmp_path / "lake", make_lake_tables(organic_events=events), 3)
    rows = read_tables(tmp_path / "lake", {"organic_events": date(2026, 1, 2)}, date(2026, 1, 2))
    assert rows["organic_events"]["ev_key"].to_pylist() == [1]


def test_a_lake_that_ends_too_early_is_refused(tmp_path):
    land(tmp_path / "lake", make_lake_tables(), 2)
    message = "day 2026-01-09 has not landed in the lake; the first day is 2026-01-01"
    with pytest.raises(ArtifactError, match=message):
        read_checked(make_context(tmp_path), WANTED, date(2026, 1, 9))


def test_an_empty_lake_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="the lake is empty"):
        read_checked(make_context(tmp_path), WANTED, DAY)


def test_a_corrupt_partition_is_refused(tmp_path):
    lake = land(tmp_path / "lake", make_lake_tables(content=[CONTENT]), 1)
    with lake.path("content", DAY).open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(ArtifactError, match="partition is corrupt"):
        read_checked(make_context(tmp_path), WANTED, DAY)


def land_quiet_days(tmp_path, *, num_days, quiet, table="organic_events"):
    """Land days of 100 events or requests each, some days without any."""
    keys = [
        100 * day + idx + 1 for day in range(num_days) for idx in range(100) if day not in quiet
    ]
    times = {key: DAY_0 + (key - 1) // 100 * 24 * HOUR_MS + HOUR_MS for key in keys}
    make = {"organic_events": make_organic_event, "requests": make_request}[table]
    entities = {"users": [PERSON], "content": [CONTENT], "embeddings": [EMBEDDING]}
    rows = {table: [make(key, ts=ts) for key, ts in times.items()]}
    land(tmp_path / "lake", make_lake_tables(**entities, **rows), num_days)
    return make_context(tmp_path)


@pytest.mark.parametrize("table", ["organic_events", "requests"])
@pytest.mark.parametrize("quiet", [0, 2, 3])
def test_a_landed_day_without_rows_is_refused(tmp_path, table, quiet):
    context = land_quiet_days(tmp_path, num_days=4, quiet={quiet}, table=table)
    message = rf"{table} ..-ROWS: no row landed on 2026-01-0{quiet + 1} \(empty days: 1 of 4"
    with pytest.raises(ContractError, match=message) as caught:
        read_checked(context, dict.fromkeys((table, "users", "content"), DAY), date(2026, 1, 4))
    assert "check that the day has landed" in caught.value.fix
    assert (context.reports / "inputs" / "check.json").exists()
    assert not (tmp_path / "lake" / "profiles").exists()


def test_a_day_without_rows_before_the_window_does_not_matter(tmp_path):
    context = land_quiet_days(tmp_path, num_days=4, quiet={0})
    first_days = {"organic_events": date(2026, 1, 2), "users": DAY, "content": DAY}
    assert read_checked(context, first_days, date(2026, 1, 4))["organic_events"].num_rows == 300


def drift_of(context, last):
    """Read all days and give what the reports say of drift, and all their bytes."""
    read_checked(context, WANTED, last)
    path = context.reports / "inputs" / "check.json"
    records = {record["contract"]: record for record in read_json(path)}
    rules = {rule["id"]: rule for rule in records["organic_events"]["rules"]}
    return rules["OE-050"], path.read_bytes()


def test_drift_is_the_same_with_a_cold_a_warm_and_a_spoiled_store(tmp_path):
    context = land_quiet_days(tmp_path, num_days=10, quiet=())
    last = date(2026, 1, 10)
    profiles = tmp_path / "lake" / "profiles" / "organic_events"
    cold, cold_bytes = drift_of(context, last)
    assert (cold["status"], cold["observed"]) == ("passed", 0.0)
    stored = {path.name: path.read_bytes() for path in profiles.iterdir()}
    assert len(stored) == 10
    assert drift_of(context, last) == (cold, cold_bytes)
    # Profiles of other bytes, a damaged one and a missing one make no difference, and are mended.
    write_json(
        profiles / "2026-01-03.json",
        {
            **read_json(profiles / "2026-01-03.json"),
            "rows": 10**6,
            "made_from": "another partition",
        },
    )
    (profiles / "2026-01-04.json").write_text("{")
    (profiles / "2026-01-05.json").unlink()
    assert drift_of(context, last) == (cold, cold_bytes)
    assert {path.name: path.read_bytes() for path in profiles.iterdir()} == stored


def test_a_day_is_profiled_once(tmp_path, monkeypatch):
    context = land_quiet_days(tmp_path, num_days=10, quiet=())
    made = []

    def profile(contract, parts):
        made.extend((contract.name, day.day) for day in parts)
        return profile_partitions(contract, parts)

    monkeypatch.setattr("data_contracts.profile_store.profile_partitions", profile)
    read_checked(context, WANTED, date(2026, 1, 9))
    assert sorted(made) == sorted((name, day) for name in WANTED for day in range(1, 10))
    made.clear()
    read_checked(context, WANTED, date(2026, 1, 10))
    assert sorted(made) == sorted((name, 10) for name in WANTED)


def test_a_lake_that_cannot_be_written_is_checked_all_the_same(tmp_path, caplog):
    context = land_events(tmp_path, num_bad=0)
    (tmp_path / "lake" / "profiles").write_text("a file where the store would be")
    assert read_checked(context, WANTED, DAY)["organic_events"].num_rows == 1000
    assert "profiles are not kept, each run makes them again" in caplog.text
