from datetime import date
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

from components.runtime.lake_inputs import read_checked, read_tables
from gpr_core.data.tables import HOUR_MS
from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.progress import Progress
from tests.lake_rows import (
    DAY_0,
    land,
    make_embedding,
    make_lake_tables,
    make_organic_event,
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
