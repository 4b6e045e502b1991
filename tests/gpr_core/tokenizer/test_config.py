"""Ranges of the tokenization parameters."""

import pytest

from gpr_core.support.config import load_section, to_mapping
from gpr_core.support.errors import ConfigError
from gpr_core.tokenizer.config import TokenizationConfig


def test_the_defaults_survive_yaml():
    config = TokenizationConfig()
    assert load_section(TokenizationConfig, to_mapping(config), where="here") == config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_levels", 0),
        ("codebook_size", 1),
        ("codebook_size", 40_000),
        ("kmeans_iterations", 0),
        ("hidden_width", 0),
        ("latent_width", 0),
        ("projection_dim", 0),
        ("epochs", -1),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", 2.0),
        ("commit_weight", -0.1),
        ("gradient_clip", 0.0),
        ("patience", 0),
        ("min_usage", 1.1),
        ("max_collision_gain", -0.1),
    ],
)
def test_a_value_out_of_range_is_refused(name, value):
    with pytest.raises(ConfigError, match=name):
        TokenizationConfig(**{name: value})


@pytest.mark.parametrize("kind", ["rq_vae", "rq_vae_kmeans_init"])
def test_a_baseline_from_random_weights_must_be_trained(kind):
    with pytest.raises(ConfigError, match=f"epochs is 0 but {kind} starts from random weights"):
        TokenizationConfig(kind=kind, epochs=0)


@pytest.mark.parametrize(
    ("policy", "levels"), [("value", 9), ("suffix", 8), ("hash_level", 1), ("hash_level", 9)]
)
def test_a_leaf_policy_needs_room_among_the_levels(policy, levels):
    assert TokenizationConfig(leaf_policy=policy, num_levels=7)
    with pytest.raises(ConfigError, match=f"num_levels with leaf_policy {policy} is {levels}"):
        TokenizationConfig(leaf_policy=policy, num_levels=levels)
