import pytest

from gpr_core.data.config import CurationConfig
from gpr_core.support.config import load_section, to_mapping
from gpr_core.support.errors import ConfigError


def test_the_defaults_survive_yaml():
    config = CurationConfig()
    assert load_section(CurationConfig, to_mapping(config), where="test") == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window_days": 0}, "window_days is 0"),
        ({"held_out_share": 0.9}, "held_out_share is 0.9"),
        ({"num_price_buckets": 16}, "num_price_buckets is 16"),
        ({"value_action_weights": (1.0, 2.0)}, "expected three positive numbers"),
        ({"value_action_weights": (1.0, 2.0, 0.0)}, "expected three positive numbers"),
        ({"value_clip": (1.5, 10.0)}, "expected 0 < low < 1 < high"),
        ({"value_clip": (0.1,)}, "expected 0 < low < 1 < high"),
    ],
)
def test_a_value_out_of_range_is_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        CurationConfig(**values)
