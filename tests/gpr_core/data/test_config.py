import pytest

from gpr_core.data.config import CurationConfig, ThoughtsConfig
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


def test_nobody_thinks_by_default():
    assert CurationConfig().thoughts == ThoughtsConfig(provider="none")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"provider": "gpt"}, "found 'gpt', expected one of: none, template, language_model"),
        ({"provider": "language_model", "model": "big"}, "url is '', expected the address"),
        ({"provider": "language_model", "url": "ftp://x", "model": "big"}, "url is 'ftp://x'"),
        ({"provider": "language_model", "url": "https://x"}, "model is '', expected a name"),
        ({"provider": "language_model", "url": "https://x", "model": "m" * 65}, "model is 'mmm"),
        ({"key": "secret"}, "unknown parameter 'key'"),
    ],
)
def test_who_thinks_must_be_known_and_findable(values, message):
    with pytest.raises(ConfigError, match=message):
        load_section(CurationConfig, {"thoughts": values}, where="test")
