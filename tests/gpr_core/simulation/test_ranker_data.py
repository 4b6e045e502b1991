import numpy as np
import pyarrow as pa
import pytest

from gpr_core.simulation.config import RankerConfig
from gpr_core.simulation.ranker_data import (
    exposure_weights,
    fit_rankers,
    logged_rows,
    report_values,
)
from gpr_core.simulation.ranker_features import RankerFeatures, ad_events, organic_events
from gpr_core.simulation.snapshot import sequence_keys
from gpr_core.support.errors import ContractError
from tests.gpr_core.simulation.small_corpus import CUTOFF, START, make_corpus

CONFIG = RankerConfig(min_positives=30, min_leaf_rows=20, conversion_maturity_days=0.1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), num_users=30)


def rows_of(corpus, decisions, before_ts=CUTOFF):
    features = RankerFeatures.build(
        ad_events(corpus.timelines),
        organic_events(corpus.timelines),
        corpus.catalog.ads,
        corpus.catalog.trie,
    )
    keys = sequence_keys(decisions, corpus.timelines)
    return logged_rows(decisions, keys, features, corpus.catalog, before_ts=before_ts)


def test_rankers_find_the_liked_category(corpus):
    fitted = fit_rankers(rows_of(corpus, corpus.decisions), CONFIG, cutoff_ts=CUTOFF, seed=0,
                         threads=1)  # fmt: skip
    assert fitted.reports["ctr"].auc > 0.7
    values = report_values(fitted.reports)
    assert values["ranker_ctr/auc"] == fitted.reports["ctr"].auc
    assert values["ranker_neg/is_trees"] == 0.0
    assert all(np.isfinite(value) for value in values.values())


def test_rows_that_the_logging_policy_favored_count_less():
    exposure = np.array([1.0, 1.0, 81.0, 1e-9])
    weights = exposure_weights(exposure, 0.25)
    # Raw weights 1, 1, 1/3, and 1e-6 ** -0.25 = 31.6 for the floored one.
    raw = np.array([1.0, 1.0, 1 / 3, 10**1.5])
    np.testing.assert_allclose(weights, raw / raw.mean())
    assert exposure_weights(exposure, 0.0).tolist() == [1.0] * 4


def test_rows_are_in_time_order_and_before_the_lag(corpus):
    rows = rows_of(corpus, corpus.decisions.slice(3, 50).take(np.arange(50)[::-1]))
    assert bool((np.diff(rows.ts) >= 0).all())
    early = rows_of(corpus, corpus.decisions, before_ts=START + 86_400_000)
    assert early.ts.max() < START + 86_400_000


def test_synthetic_requests_and_unknown_ads_are_left_out(corpus):
    decisions = corpus.decisions.slice(0, 4)
    flags = pa.array([True, False, False, False])
    decisions = decisions.set_column(
        decisions.column_names.index("is_synthetic"), "is_synthetic", flags
    )
    keys = decisions["ad_key"].to_pylist()
    decisions = decisions.set_column(
        decisions.column_names.index("ad_key"), "ad_key", pa.array([*keys[:3], 999], pa.uint64())
    )
    assert rows_of(corpus, decisions).ts.size == 2


def test_no_usable_decision_is_refused(corpus):
    with pytest.raises(ContractError, match="can train the rankers"):
        rows_of(corpus, corpus.decisions, before_ts=START)
