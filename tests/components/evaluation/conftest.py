"""The drawn days, made once."""

import pytest

from tests.mini_day import make_mini_day


@pytest.fixture(scope="session")
def mini_day(tmp_path_factory):
    return make_mini_day(tmp_path_factory.mktemp("mini_day"))
