"""Tests of the model configuration."""

import pytest

from gpr_core.models.config import DEFAULTS, ModelConfig, RecursionConfig
from gpr_core.support.config import load_section, to_mapping
from gpr_core.support.errors import ConfigError


def test_defaults_are_the_tiny_preset():
    sizes = (DEFAULTS.width, DEFAULTS.attention_heads, DEFAULTS.hsd_layers, DEFAULTS.ptd_layers)
    assert sizes == (64, 4, 4, 2)


def test_a_configuration_survives_yaml_values():
    config = ModelConfig(width=8, attention_heads=2, mask="causal")
    assert load_section(ModelConfig, to_mapping(config), where="test") == config


def test_a_width_that_the_heads_do_not_divide_is_refused():
    with pytest.raises(ConfigError, match="width 10 is not a multiple of attention_heads 4"):
        ModelConfig(width=10)


def test_no_layer_is_refused():
    with pytest.raises(ConfigError, match="hsd_layers is 0, expected a value in"):
        ModelConfig(hsd_layers=0)


def test_an_unknown_mask_is_refused():
    with pytest.raises(ConfigError, match="expected one of: segment_hybrid, causal"):
        load_section(ModelConfig, {"mask": "literal_prefix"}, where="test")


def test_every_new_part_is_off_by_default():
    assert DEFAULTS.recursion.router == "none"
    assert DEFAULTS.think == "parallel"
    assert DEFAULTS.refine.kind == "linear"
    assert DEFAULTS.knowledge_vectors == 0


def test_recursion_without_blocks_to_repeat_is_refused():
    with pytest.raises(ConfigError, match="hsd_layers is 2 with a recursion router"):
        ModelConfig(hsd_layers=2, recursion=RecursionConfig(router="token_choice"))
    with pytest.raises(ConfigError, match="max_depth is 0, expected a value in"):
        RecursionConfig(max_depth=0)
