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


def test_the_ends_of_warm_up_and_cosine() -> None:
    config = OptimizerConfig(learning_rate=0.5, warmup_share=0.05, final_rate_share=0.1)
    num_updates = 2000
    rates = [rate_at(update, num_updates, config) for update in range(num_updates)]
    assert rates[0] == pytest.approx(0.5 / 100)
    # The last update of the warm-up has the largest rate; the cosine starts there and falls.
    assert rates[99] == max(rates) == 0.5
    assert rates[100] == pytest.approx(0.5, rel=1e-5)
    assert rates[99:] == sorted(rates[99:], reverse=True)
    assert rates[-1] == pytest.approx(0.05, rel=1e-5)


@pytest.mark.parametrize(("warmup_share", "only"), [(0.0, 0.275), (1.0, 0.5)])
def test_a_single_update_is_the_middle_of_the_cosine_or_the_end_of_the_warm_up(
    warmup_share: float, only: float
) -> None:
    config = OptimizerConfig(learning_rate=0.5, warmup_share=warmup_share, final_rate_share=0.1)
    assert rate_at(0, 1, config) == pytest.approx(only)
