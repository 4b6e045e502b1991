"""The drawn days, made once per process."""

import pytest

from tests.mini_day import shared_mini_day


@pytest.fixture(scope="session")
def mini_day(tmp_path_factory):
    return shared_mini_day(tmp_path_factory)
