import numpy as np
import pytest

from gpr_core.objectives.final_value import FinalValueWeights, ecpm, final_value
from gpr_core.support.errors import ConfigError


def test_ecpm_of_each_bid_type():
    # CPM: 4. CPC: 1000 * 0.02 * 0.5 = 10. OCPA: 1000 * 0.02 * 0.1 * 30 = 60.
    found = ecpm([0, 1, 2], [4_000_000, 500_000, 30_000_000], [0.02] * 3, [0.1] * 3)
    np.testing.assert_allclose(found, [4.0, 10.0, 60.0], rtol=1e-12)
    assert found.dtype == np.float64


def test_ecpm_of_float32_probabilities_is_float64():
    found = ecpm(np.int8(1), np.int64(1_000_000), np.float32(0.25), np.float32(0.5))
    assert found.item() == 250.0


def test_final_value_adds_the_mean_weighted_target():
    # (20 * 0.1 + 20 * 0.2 - 60 * 0.05 - 5 * 0.4) / 4 = 0.25
    found = final_value([3.0, 0.0], 0.1, 0.2, 0.05, 0.4)
    np.testing.assert_allclose(found, [3.25, 0.25], rtol=1e-12)


def test_final_value_can_be_negative():
    # (20 * 0.01 - 60 * 0.2 - 5 * 0.8) / 4 = (0.2 - 12 - 4) / 4
    assert final_value(0.5, 0.01, 0.0, 0.2, 0.8).item() == pytest.approx(0.5 - 3.95)


def test_weights_without_a_negative_are_refused():
    with pytest.raises(ConfigError, match="no weight of final_value is negative"):
        FinalValueWeights(p_neg=0.0, fatigue=0.0)
