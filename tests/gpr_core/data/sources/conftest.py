"""The look-alike wheel, read once."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from gpr_core.data.sources.movielens_files import MovieLens, read_movielens


def _load_look_alike() -> ModuleType:
    """Load the builder beside this file; importlib mode has no package for it."""
    path = Path(__file__).with_name("look_alike.py")
    spec = importlib.util.spec_from_file_location("look_alike", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def look_alike() -> ModuleType:
    return _load_look_alike()


@pytest.fixture(scope="session")
def wheel(look_alike: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = look_alike.make_wheel(tmp_path_factory.mktemp("wheel") / "look_alike.whl")
    return path


@pytest.fixture(scope="session")
def data(wheel: Path) -> MovieLens:
    return read_movielens(wheel)
