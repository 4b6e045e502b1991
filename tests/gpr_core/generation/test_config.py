import pytest

from gpr_core.generation.config import BeamConfig
from gpr_core.support.errors import ConfigError


def test_short_tuples_repeat_their_last_value():
    config = BeamConfig(num_candidates=10, width_factors=(1.0, 2.0), value_bonus=(0.0, 0.5))
    assert [config.width(level) for level in range(3)] == [10, 20, 20]
    assert [config.bonus(level) for level in range(3)] == [0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_candidates": 0}, "num_candidates is 0"),
        ({"width_factors": ()}, "expected positive factors"),
        ({"width_factors": (1.0, 0.0)}, "expected positive factors"),
        ({"value_bonus": (-1.0,)}, "expected factors >= 0"),
        ({"mode": "gumbel"}, "mode gumbel samples from the policy"),
        (
            {"mode": "gumbel", "value_bonus": (0.1,), "share_by_value": False},
            "mode gumbel samples from the policy",
        ),
    ],
)
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        BeamConfig(**options)
