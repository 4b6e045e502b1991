"""The look-alike wheel, read once."""

from pathlib import Path

import pytest

from gpr_core.data.sources.movielens_files import MovieLens, read_movielens
from tests.gpr_core.data.sources.look_alike import make_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wheel(tmp_path_factory.mktemp("wheel") / "look_alike.whl")


@pytest.fixture(scope="session")
def data(wheel: Path) -> MovieLens:
    return read_movielens(wheel)
