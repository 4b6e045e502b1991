import shutil
from dataclasses import replace
from datetime import date

import pandas as pd
import pytest

from gpr_core.data.lake import Lake
from gpr_core.data.tables import DAY_MS, TABLES
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.support.hashing import hash_files
from gpr_core.support.progress import Progress
from gpr_core.world.config import world_preset
from gpr_core.world.generate import fill_world

FIRST, THIRD = date(2026, 1, 1), date(2026, 1, 3)
PROGRESS = Progress("lake")


def fill(root, through, config=None):
    return fill_world(
        config or world_preset("micro"), Lake(root / "lake"), root / "oracle", through, PROGRESS
    )


@pytest.fixture(scope="module")
def at_once(tmp_path_factory):
    root = tmp_path_factory.mktemp("at_once")
    assert fill(root, THIRD) == 3
    return root


def test_day_by_day_equals_at_once(at_once, tmp_path):
    counts = [fill(tmp_path, date(2026, 1, day)) for day in (1, 2, 3)]
    assert counts == [1, 1, 1]
    assert hash_files(tmp_path) == hash_files(at_once)


def test_another_seed_is_another_world(at_once, tmp_path):
    fill(tmp_path, FIRST, replace(world_preset("micro"), seed=1))
    first, second = (Lake(root / "lake") for root in (at_once, tmp_path))
    assert first.partition("requests", FIRST) != second.partition("requests", FIRST)


def test_filling_again_does_nothing(at_once):
    before = hash_files(at_once)
    assert fill(at_once, THIRD) == 0
    assert fill(at_once, FIRST) == 0
    assert hash_files(at_once) == before


def kill_before_landing(monkeypatch, day):
    """Let the process die after the state of a day was written and before the day lands."""
    landing = Lake.append_day

    def append(self, when, tables, *, source):
        if when == day:
            raise KeyboardInterrupt
        landing(self, when, tables, source=source)

    monkeypatch.setattr(Lake, "append_day", append)


@pytest.mark.parametrize("day", [FIRST, date(2026, 1, 2)])
def test_a_killed_fill_is_taken_up_again(at_once, tmp_path, monkeypatch, day):
    with monkeypatch.context() as patch:
        kill_before_landing(patch, day)
        with pytest.raises(KeyboardInterrupt):
            fill(tmp_path, THIRD)
    assert day not in Lake(tmp_path / "lake").days()
    fill(tmp_path, THIRD)
    assert hash_files(tmp_path) == hash_files(at_once)


def test_half_written_tables_are_replaced(at_once, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(Lake, "_write_day_manifests", lambda *_: (_ for _ in ()).throw(OSError))
        with pytest.raises(OSError):  # noqa: PT011 - planted above
            fill(tmp_path, THIRD)
    assert (tmp_path / "lake" / "tables").exists()
    assert Lake(tmp_path / "lake").days() == []
    fill(tmp_path, THIRD)
    assert hash_files(tmp_path) == hash_files(at_once)


def test_only_the_last_state_is_kept(at_once):
    names = [path.name for path in (at_once / "oracle" / "state").iterdir()]
    assert names == ["day=2026-01-03.npz"]


def test_a_day_before_the_world_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="2025-12-31 is before the first day of the world"):
        fill(tmp_path, date(2025, 12, 31))


def test_another_configuration_is_refused(at_once, tmp_path):
    shutil.copytree(at_once, tmp_path / "copy")
    other = replace(world_preset("micro"), num_users=61, seed=2)
    with pytest.raises(ConfigError, match="begun with other values of: num_users, seed"):
        fill(tmp_path / "copy", date(2026, 1, 4), other)


def test_a_lost_state_is_refused(at_once, tmp_path):
    shutil.copytree(at_once, tmp_path / "copy")
    (tmp_path / "copy" / "oracle" / "state" / "day=2026-01-03.npz").unlink()
    with pytest.raises(ArtifactError, match="the lake cannot be continued without it"):
        fill(tmp_path / "copy", date(2026, 1, 4))


def test_a_lost_oracle_tree_is_refused(at_once, tmp_path):
    shutil.copytree(at_once / "lake", tmp_path / "lake")
    with pytest.raises(ArtifactError, match="the lake cannot be continued without it"):
        fill(tmp_path, date(2026, 1, 4))


def test_another_source_is_refused(at_once, tmp_path):
    rows = {name: Lake(at_once / "lake").read(name, FIRST, FIRST) for name in TABLES}
    Lake(tmp_path / "lake").append_day(FIRST, rows, source="movielens")
    with pytest.raises(ArtifactError, match="this lake holds 'movielens', not 'world'"):
        fill(tmp_path, THIRD)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    root = tmp_path_factory.mktemp("tiny")
    lake = Lake(root / "lake")
    fill_world(world_preset("tiny"), lake, root / "oracle", date(2026, 1, 25), PROGRESS)
    return {name: lake.read(name, FIRST, date(2026, 1, 25)).to_pandas() for name in TABLES}


@pytest.mark.slow
def test_tiny_shows_the_base_rates(tiny):
    shown, events = len(tiny["impressions"]), tiny["ad_events"].type.value_counts()
    assert 0.02 < events[1] / shown < 0.03
    assert 0.03 < events[2] / events[1] < 0.07
    assert 0.002 < events[3] / shown < 0.005


@pytest.mark.slow
def test_tiny_exhausts_a_quarter_of_the_budgets_it_touches(tiny):
    versions = tiny["ad_versions"].sort_values("valid_from")
    spent = pd.merge_asof(
        tiny["ad_spend_ledger"].sort_values("ts"),
        versions,
        left_on="ts",
        right_on="valid_from",
        by="ad_key",
    )
    last = spent.groupby(["ad_key", spent.ts // DAY_MS]).last()
    assert 0.2 <= (last.cum_day_micros >= last.daily_budget_micros).mean() <= 0.3


@pytest.mark.slow
def test_tiny_rewards_knowing_the_person(tiny):
    """Popularity within the categories a user reads must beat popularity clearly."""
    shown = tiny["impressions"].merge(tiny["requests"], on="request_key")
    shown = shown.merge(tiny["ads"][["ad_key", "cat_l1"]], on="ad_key")
    start = shown.ts.max() // DAY_MS * DAY_MS
    past, today = shown[shown.ts < start], shown[shown.ts >= start]
    past = past[past.ts >= start - 7 * DAY_MS]
    popular = set(past.ad_key.value_counts().index[:10])
    by_category = {
        category: list(rows.ad_key.value_counts().index[:10])
        for category, rows in past.groupby("cat_l1")
    }
    stats = tiny["user_stats_daily"]
    top = stats[stats.day_ts == stats.day_ts.max()].set_index("user_key").top_cats

    def personal(user):
        lists = [by_category.get(category, []) for category in top[user]]
        share = {1: [10], 2: [6, 4], 3: [5, 3, 2]}[len(lists)]
        return {ad for ads, count in zip(lists, share, strict=True) for ad in ads[:count]}

    popularity_rate = today.ad_key.isin(popular).mean()
    pairs = zip(today.user_key, today.ad_key, strict=True)
    personal_rate = sum(ad in personal(user) for user, ad in pairs) / len(today)
    assert popularity_rate < 0.2
    assert personal_rate > 1.8 * popularity_rate
