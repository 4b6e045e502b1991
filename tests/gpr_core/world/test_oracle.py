import shutil

import numpy as np
import pandas as pd
import pytest

from gpr_core.objectives.final_value import ecpm
from gpr_core.support.errors import ArtifactError, ShapeError
from gpr_core.world.oracle import Oracle


@pytest.fixture(scope="module")
def oracle(filled):
    return Oracle(filled.oracle_root)


@pytest.fixture(scope="module")
def shown(tables):
    return tables["impressions"].merge(
        tables["requests"][["request_key", "user_key", "ts"]], on="request_key"
    )


def test_clicks_happen_at_the_true_rate(oracle, tables, shown):
    p_ctr, _, p_neg = oracle.outcome_probabilities(
        shown.request_key.to_numpy(), shown.ad_key.to_numpy()[:, None]
    )
    events = tables["ad_events"]
    for kind, truth in ((1, p_ctr), (3, p_neg)):
        expected, found = truth.sum(), (events.type == kind).sum()
        assert abs(found - expected) < 4 * np.sqrt(expected)


def test_predictions_are_calibrated_but_not_the_truth(oracle, shown):
    p_ctr, _, _ = oracle.outcome_probabilities(
        shown.request_key.to_numpy(), shown.ad_key.to_numpy()[:, None]
    )
    assert 0.8 < shown.p_ctr.sum() / p_ctr.sum() < 1.25
    assert 0.2 < np.corrcoef(np.log(shown.p_ctr), np.log(p_ctr[:, 0]))[0, 1] < 0.9


def test_answers_do_not_depend_on_the_company(oracle, shown):
    some = shown.iloc[::37]
    ads = np.stack([some.ad_key.to_numpy(), shown.ad_key.to_numpy()[: len(some)]], axis=1)
    whole = oracle.outcome_probabilities(some.request_key.to_numpy(), ads)
    back = oracle.outcome_probabilities(some.request_key.to_numpy()[::-1], ads[::-1, 1:])
    for first, second in zip(whole, back, strict=True):
        np.testing.assert_array_equal(first[::-1, 1:], second)


def test_int64_keys_are_as_good_as_uint64(oracle, shown):
    keys, ads = shown.request_key.to_numpy()[:5], shown.ad_key.to_numpy()[:5, None]
    first = oracle.outcome_probabilities(keys, ads)
    second = oracle.outcome_probabilities(keys.astype(np.int64), ads.astype(np.int64))
    np.testing.assert_array_equal(first[0], second[0])


def test_earlier_impressions_are_those_in_the_log(oracle, shown):
    some = shown.sort_values("ts").iloc[-200:]
    found = oracle.earlier_impressions(
        some.request_key.to_numpy(), some.ad_key.to_numpy()[:, None]
    )[:, 0]
    expected = [
        (
            (shown.user_key == row.user_key) & (shown.ad_key == row.ad_key) & (shown.ts < row.ts)
        ).sum()
        for row in some.itertuples()
    ]
    assert found.tolist() == expected


def test_live_threads_are_what_people_read(oracle, tables):
    requests = tables["requests"].iloc[-300:]
    threads = oracle.live_threads(requests.request_key.to_numpy())
    assert all(1 <= len(categories) <= 4 for categories in threads)
    reading = tables["organic_events"].merge(tables["content"], on="content_key")
    own = dict(zip(requests.user_key, threads, strict=True))
    recent = reading[reading.user_key.isin(own) & (reading.ts > requests.ts.min())]
    hits = [c in own[user] for user, c in zip(recent.user_key, recent.cat_l1, strict=True)]
    assert np.mean(hits) > 0.6


def test_unknown_keys_are_refused(oracle, shown):
    keys, ads = shown.request_key.to_numpy()[:1], shown.ad_key.to_numpy()[:1, None]
    with pytest.raises(ArtifactError, match=r"the oracle knows no request of these keys: \[5\]"):
        oracle.outcome_probabilities(np.array([5], dtype=np.uint64), ads)
    with pytest.raises(ArtifactError, match=r"the oracle knows no ad of these keys: \[6\]"):
        oracle.outcome_probabilities(keys, np.array([[6]], dtype=np.uint64))


def test_one_row_of_ads_per_request_is_required(oracle, shown):
    with pytest.raises(ShapeError, match="ad_keys has shape"):
        oracle.outcome_probabilities(shown.request_key.to_numpy()[:2], np.ones((1, 1)))


def test_no_oracle_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match="there is no oracle here"):
        Oracle(tmp_path)


def test_an_oracle_without_a_day_is_an_error(filled, tmp_path):
    shutil.copy(filled.oracle_root / "world.json", tmp_path / "world.json")
    with pytest.raises(ArtifactError, match="holds no day"):
        Oracle(tmp_path)


# The sanity facts of specification 6.2, without which no method could be told from another.


@pytest.fixture(scope="module")
def pools(oracle, tables, shown):
    """All running ads at the requests of the last day: affinity, true eCPM, logged true eCPM."""
    last = shown[shown.ts >= shown.ts.max() - 86_400_000]
    versions = tables["ad_versions"].sort_values("valid_from").groupby("ad_key").last()
    versions = versions[versions.status == 0]
    keys = last.request_key.to_numpy()
    ads = np.tile(versions.index.to_numpy(), (len(last), 1))
    p_ctr, p_cvr, _ = oracle.outcome_probabilities(keys, ads)
    value = ecpm(versions.bid_type.to_numpy(), versions.bid_micros.to_numpy(), p_ctr, p_cvr)
    own = oracle.outcome_probabilities(keys, last.ad_key.to_numpy()[:, None])
    logged = ecpm(last.bid_type_at, last.bid_micros_at, own[0][:, 0], own[1][:, 0])
    return pd.DataFrame({"best": value.max(axis=1), "logged": logged}), np.corrcoef(
        oracle.category_affinity(keys, ads).ravel(), value.ravel()
    )[0, 1]


def test_the_best_ad_is_worth_at_least_twice_the_logged_one(pools):
    values, _ = pools
    assert values.best.mean() / values.logged.mean() >= 2


def test_relevance_and_value_disagree(pools):
    assert pools[1] < 0.8


def test_a_third_of_the_requests_have_several_live_threads(oracle, tables):
    threads = oracle.live_threads(tables["requests"].request_key.to_numpy())
    assert np.mean([len(categories) >= 2 for categories in threads]) >= 0.3


def test_hidden_gems_are_valuable_and_hardly_shown(oracle, tables):
    gems = set(oracle.hidden_gems().tolist())
    assert gems
    assert tables["impressions"].ad_key.isin(gems).mean() < 0.05
