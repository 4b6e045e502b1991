"""A micro world of nine days, filled once, and the pieces it is made of."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from gpr_core.data.lake import Lake
from gpr_core.data.tables import TABLES
from gpr_core.support.progress import Progress
from gpr_core.world.calibration import Beginning, begin
from gpr_core.world.config import WorldConfig, world_preset
from gpr_core.world.day import World, build_world
from gpr_core.world.economics import num_ads_by, num_content_by
from gpr_core.world.generate import fill_world

FIRST, LAST = date(2026, 1, 1), date(2026, 1, 9)
FIRST_ORDINAL = 20_454


@dataclass(frozen=True)
class Filled:
    """A filled lake with its oracle tree."""

    config: WorldConfig
    lake: Lake
    oracle_root: Path

    def rows(self, table: str) -> pd.DataFrame:
        """Read a whole table."""
        days = self.lake.days()
        return self.lake.read(table, days[0], days[-1]).to_pandas()


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Filled:
    root = tmp_path_factory.mktemp("world")
    config, lake = world_preset("micro"), Lake(root / "lake")
    fill_world(config, lake, root / "oracle", LAST, Progress("lake"))
    return Filled(config, lake, root / "oracle")


@pytest.fixture(scope="session")
def tables(filled: Filled) -> dict[str, pd.DataFrame]:
    return {name: filled.rows(name) for name in TABLES}


@pytest.fixture(scope="session")
def config() -> WorldConfig:
    return world_preset("micro")


@pytest.fixture(scope="session")
def world(config: WorldConfig) -> World:
    return build_world(config, num_ads_by(config, 3), num_content_by(config, 3))


@pytest.fixture(scope="session")
def beginning(world: World) -> Beginning:
    return begin(world, FIRST)
