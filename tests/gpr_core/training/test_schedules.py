import pytest

from gpr_core.training.config import OptimizerConfig
from gpr_core.training.schedules import rate_at


def test_the_rate_rises_linearly_then_falls_to_its_final_share() -> None:
    config = OptimizerConfig(learning_rate=0.01, warmup_share=0.4, final_rate_share=0.1)
    rates = [rate_at(update, 10, config) for update in range(10)]
    assert rates[:4] == pytest.approx([0.0025, 0.005, 0.0075, 0.01])
    # Cosine over 6 updates at their middles, between 0.01 and 0.001.
    assert rates[4:] == pytest.approx(
        [0.009847, 0.008682, 0.006665, 0.004335, 0.002318, 0.001153], abs=1e-6
    )


def test_no_warm_up_starts_at_the_top_of_the_cosine() -> None:
    config = OptimizerConfig(learning_rate=1.0, warmup_share=0.0, final_rate_share=1.0)
    assert [rate_at(update, 3, config) for update in range(3)] == [1.0, 1.0, 1.0]
