import pytest

from gpr_core.evaluation.config import EvaluationConfig, PromotionConfig, VerdictConfig
from gpr_core.support.config import load_section, to_mapping
from gpr_core.support.errors import ConfigError


def test_defaults_survive_a_round_trip_through_yaml_values():
    for config in (EvaluationConfig(), PromotionConfig()):
        assert load_section(type(config), to_mapping(config), where="test") == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hit_rate_ks": ()}, "ascending positive numbers"),
        ({"hit_rate_ks": (10, 1)}, "ascending positive numbers"),
        ({"hit_rate_ks": (0, 10)}, "ascending positive numbers"),
        ({"headline_k": 7}, "not among hit_rate_ks"),
        ({"max_requests": 0}, "max_requests"),
        ({"pool_popular": 100}, "pool_popular"),
        ({"confidence": 1.0}, "confidence"),
        ({"resamples": 10}, "resamples"),
        ({"min_truth_eligible": 1.5}, "min_truth_eligible"),
    ],
)
def test_values_out_of_range_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        EvaluationConfig(**changes)


def test_verdict_and_promotion_rules_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="max_hit_rate_loss"):
        VerdictConfig(max_hit_rate_loss=-0.1)
    with pytest.raises(ConfigError, match="smoke_requests"):
        PromotionConfig(smoke_requests=0)
