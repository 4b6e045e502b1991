"""The run section."""

import pytest

from gpr_core.support.errors import ConfigError
from gpr_core.support.run_config import RunConfig


def test_a_negative_seed_or_no_thread_is_refused():
    with pytest.raises(ConfigError, match="use seed >= 0 and threads >= 1"):
        RunConfig(day="2026-01-01", seed=-1)
    with pytest.raises(ConfigError, match="threads is 0"):
        RunConfig(day="2026-01-01", threads=0)
