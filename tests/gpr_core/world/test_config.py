from dataclasses import replace

import pytest

from gpr_core.support.config import load_section, to_mapping
from gpr_core.support.errors import ConfigError
from gpr_core.world.config import WorldConfig, world_preset


def test_presets_have_the_sizes_of_the_specification():
    sizes = {
        name: (preset.num_users, preset.num_ads, preset.num_content)
        for name in ("micro", "tiny", "small", "year")
        for preset in [world_preset(name)]
    }
    assert sizes == {
        "micro": (60, 120, 200),
        "tiny": (600, 1_500, 2_500),
        "small": (6_000, 12_000, 20_000),
        "year": (20_000, 40_000, 80_000),
    }


def test_tiny_is_the_default():
    assert world_preset("tiny") == WorldConfig()


def test_a_preset_survives_yaml():
    micro = world_preset("micro")
    assert load_section(WorldConfig, to_mapping(micro), where="params.yaml world") == micro


def test_an_unknown_preset_lists_the_known_ones():
    with pytest.raises(ConfigError, match=r"did you mean 'tiny'\? known: micro, small, tiny, year"):
        world_preset("tinny")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("num_users", 3, "num_users is 3, expected a value in"),
        ("base_ctr", 0.9, r"base_ctr is 0\.9"),
        ("exploration_rate", 0.0, "exploration_rate is 0.0"),
        ("first_day", "1.1.2026", "is not a day"),
        ("num_preranked", 500, "num_preranked is 500, more than num_retrieved 200"),
    ],
)
def test_values_out_of_range_are_refused(name, value, message):
    with pytest.raises(ConfigError, match=message):
        replace(WorldConfig(), **{name: value})
