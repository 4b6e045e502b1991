import pytest

from gpr_core.simulation.config import RankerConfig, RulesConfig, SnapshotConfig
from gpr_core.support.errors import ConfigError


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SnapshotConfig(num_requests=1), "num_requests is 1"),
        (lambda: SnapshotConfig(rehearsed_share=0.9), "rehearsed_share is 0.9"),
        (lambda: RankerConfig(test_share=0.9), "test_share is 0.9"),
        (lambda: RankerConfig(min_auc=1.0), "min_auc is 1.0"),
        (lambda: RulesConfig(advertiser_cap=-1), "advertiser_cap is -1"),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
