import pytest

from gpr_core.support.config import load_section, to_mapping
from gpr_core.support.errors import ConfigError
from gpr_core.training.config import (
    HeadWeightConfig,
    MtpConfig,
    OptimizerConfig,
    SequenceConfig,
    VaftConfig,
)


@pytest.mark.parametrize("config", [MtpConfig(), VaftConfig()])
def test_a_section_survives_yaml(config: MtpConfig | VaftConfig) -> None:
    assert load_section(type(config), to_mapping(config), where="test") == config


def test_fine_tuning_moves_more_slowly_than_pre_training() -> None:
    ratio = VaftConfig().optimizer.learning_rate / MtpConfig().optimizer.learning_rate
    assert 0.1 <= ratio <= 0.3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SequenceConfig(max_tokens=16, new_tokens=16), "new_tokens is 16"),
        (lambda: SequenceConfig(gate_user_share=0.0), "gate_user_share is 0.0"),
        (lambda: OptimizerConfig(learning_rate=0.0), "learning_rate is 0.0"),
        (lambda: OptimizerConfig(batch_windows=4, accumulate=5), "accumulate is 5"),
        (lambda: HeadWeightConfig(adaptive_share=1.5), "adaptive_share is 1.5"),
        (lambda: MtpConfig(epochs=0), "epochs is 0"),
        (lambda: VaftConfig(unweighted_share=-0.1), "unweighted_share is -0.1"),
    ],
)
def test_values_out_of_range_are_refused(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
