import pytest

from gpr_core.support.errors import ConfigError
from gpr_core.training.hepo_config import AdvantageConfig, CriticConfig, HepoConfig


def test_process_rewards_shrink_down_to_the_floor():
    config = AdvantageConfig(process_scale=(0.5, 0.25), process_scale_floor=0.05)
    assert config.scales(2, 0) == [0.5, 0.25]
    assert config.scales(3, 1) == [0.25, 0.125, 0.125]
    assert config.scales(2, 9) == [0.05, 0.05]


def test_switched_off_process_rewards_stay_off():
    assert AdvantageConfig(process_scale=(0.0,)).scales(2, 3) == [0.0, 0.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HepoConfig(iterations=0), "iterations is 0"),
        (lambda: HepoConfig(num_candidates=1), "num_candidates is 1"),
        (lambda: HepoConfig(holdout_share=1.0), "holdout_share is 1.0"),
        (lambda: CriticConfig(min_r2=1.0), "min_r2 is 1.0"),
        (lambda: AdvantageConfig(gamma=1.5), "gamma is 1.5"),
        (lambda: AdvantageConfig(process_scale=()), "expected factors >= 0"),
        (lambda: AdvantageConfig(process_scale=(0.5, -1.0)), "expected factors >= 0"),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
