from datetime import date

import pytest

from gpr_core.data.days import parse_day
from gpr_core.data.lake import Lake
from gpr_core.data.sources.movielens import (
    MOVIELENS_DEFAULT_DAY,
    SYNTHETIC_COLUMNS,
    fill_movielens,
)
from gpr_core.data.sources.movielens_tables import ENCODER_VERSION, POLICY_ID
from gpr_core.data.tables import TABLES
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.support.hashing import hash_files
from gpr_core.support.progress import Progress
from tests.gpr_core.data.sources.look_alike import make_wheel, rating_lines

PROGRESS = Progress("lake")
LAST = date(1997, 9, 25)


def fill(wheel, root, through, seed=7):
    return fill_movielens(wheel, Lake(root), through, seed=seed, progress=PROGRESS)


@pytest.fixture(scope="module")
def at_once(wheel, tmp_path_factory):
    root = tmp_path_factory.mktemp("at_once")
    assert fill(wheel, root, LAST) == 6
    return root


def test_day_by_day_equals_at_once(wheel, at_once, tmp_path):
    for day in range(20, 26):
        assert fill(wheel, tmp_path, date(1997, 9, day)) == 1
    assert hash_files(tmp_path) == hash_files(at_once)


def test_a_later_rating_changes_no_earlier_day(at_once, tmp_path):
    cut = [line for line in rating_lines()[1:] if int(line.split("\t")[3]) < 875_059_200]
    short = make_wheel(tmp_path / "short.whl", inter=[rating_lines()[0], *cut])
    fill(short, tmp_path / "lake", date(1997, 9, 22))
    first, second = Lake(at_once), Lake(tmp_path / "lake")
    for name in set(TABLES) - {"users"}:
        for day in second.days():
            assert first.partition(name, day) == second.partition(name, day), (name, day)


def test_a_day_without_ratings_lands_empty(at_once):
    quiet = date(1997, 9, 23)
    assert Lake(at_once).partition("requests", quiet).rows == 0
    assert Lake(at_once).partition("user_stats_daily", quiet).rows > 0


def test_filling_again_does_nothing(wheel, at_once):
    assert fill(wheel, at_once, LAST) == 0


def test_another_seed_re_keys_everything(wheel, at_once, tmp_path):
    fill(wheel, tmp_path, date(1997, 9, 20), seed=8)
    day = date(1997, 9, 20)
    first, second = (
        set(Lake(root).read("users", day, day).column("user_key").to_pylist())
        for root in (at_once, tmp_path)
    )
    assert not first & second


@pytest.mark.parametrize("day", [date(1997, 9, 19), date(1997, 9, 26)])
def test_days_outside_the_data_are_refused(wheel, tmp_path, day):
    with pytest.raises(ConfigError, match="outside the data, which run from 1997-09-20 to"):
        fill(wheel, tmp_path, day)


def test_another_source_is_refused(wheel, at_once, tmp_path):
    day = date(1997, 9, 20)
    rows = {name: Lake(at_once).read(name, day, day) for name in TABLES}
    Lake(tmp_path).append_day(day, rows, source="world")
    with pytest.raises(ArtifactError, match="this lake holds 'world', not 'movielens'"):
        fill(wheel, tmp_path, LAST)


def test_synthetic_columns_exist():
    for entry in SYNTHETIC_COLUMNS:
        table, column = entry.split(".")
        assert column in TABLES[table].schema.names, entry
    assert len(set(SYNTHETIC_COLUMNS)) == len(SYNTHETIC_COLUMNS)


def test_what_is_real_is_not_called_synthetic():
    real = {
        "requests.ts",
        "requests.user_key",
        "impressions.ad_key",
        "organic_events.action",
        "users.age_bucket",
        "embeddings.x_text",
    }
    assert not real & set(SYNTHETIC_COLUMNS)


def test_rows_say_that_they_are_synthetic(at_once):
    lake = Lake(at_once)
    day = lake.days()[0]
    assert set(lake.read("impressions", day, day).column("policy_id").to_pylist()) == {POLICY_ID}
    versions = lake.read("embeddings", day, day).column("encoder_version").to_pylist()
    assert set(versions) == {ENCODER_VERSION}
    assert "synthetic" in POLICY_ID
    assert "synthetic" in ENCODER_VERSION


def test_the_default_day_is_a_day_of_the_data():
    assert parse_day(MOVIELENS_DEFAULT_DAY) == date(1998, 1, 6)
