import shutil
from dataclasses import replace
from datetime import date

import pytest

from gpr_core.data.lake import Lake
from gpr_core.data.tables import TABLES
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
