import numpy as np
import pyarrow as pa
import pytest

from gpr_core.data.tables import DAY_MS, HOUR_MS, Action
from gpr_core.simulation.ranker_features import (
    RankerFeatures,
    ad_events,
    feature_names,
    organic_events,
)
from tests.gpr_core.simulation.small_corpus import NUM_CATEGORIES, START, make_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return make_corpus(tmp_path_factory.mktemp("corpus"), num_users=4, num_ads=8, per_day=1)


def build(ad_rows, organic_rows, corpus):
    return RankerFeatures.build(ad_rows, organic_rows, corpus.catalog.ads, corpus.catalog.trie)


def column(features, requests, rank, name):
    row = np.zeros(1, np.int64)
    matrix = features.matrix(requests, row, np.array([rank]))
    return float(matrix[0, feature_names().index(name)])


def make_events(*events):
    names = ("user_key", "ad_key", "action", "ingest_ts")
    return pa.table({name: [event[idx] for event in events] for idx, name in enumerate(names)})


def make_organic(*events):
    names = ("user_key", "category", "brand", "is_liked", "ingest_ts")
    return pa.table({name: [event[idx] for event in events] for idx, name in enumerate(names)})


def test_columns_are_named(corpus):
    features = build(ad_events(corpus.timelines), organic_events(corpus.timelines), corpus)
    rows = np.arange(5)
    matrix = features.matrix(corpus.decisions, rows, rows)
    assert matrix.shape == (5, len(feature_names()))
    assert len(set(feature_names())) == len(feature_names())
    assert bool(np.isfinite(matrix).all())


def test_counts_are_as_of_the_request(corpus):
    request = corpus.decisions.slice(0, 1)
    ts, user = request["ts"][0].as_py(), request["user_key"][0].as_py()
    ad = int(corpus.catalog.trie.ad_key_A[3])
    events = [
        (user, ad, int(Action.IMPRESSION), ts - 10),
        (user, ad, int(Action.CLICK), ts - 5),
        (user, ad, int(Action.CLICK), ts),
        (user, ad, int(Action.IMPRESSION), ts + 1),
    ]
    organic = make_organic((user, 0, 0, True, ts))
    features = build(make_events(*events), organic, corpus)
    base = 20.0 * features.base_rates["CLICK"]
    assert column(features, request, 3, "user_ad_log_shown") == pytest.approx(np.log(2))
    assert column(features, request, 3, "ad_ctr") == pytest.approx((1 + base) / 21)
    assert column(features, request, 4, "ad_ctr") == pytest.approx(base / 20)


def test_organic_interest_has_windows(corpus):
    request = corpus.decisions.slice(0, 1)
    ts, user = request["ts"][0].as_py(), request["user_key"][0].as_py()
    category = int(corpus.catalog.ads.cat_l1_A[0])
    organic = make_organic(
        (user, category, 0, True, ts - HOUR_MS),
        (user, category, 0, True, ts - 2 * DAY_MS),
        (user, category + 1, 0, True, ts - HOUR_MS),
        (user, category, 0, False, ts - HOUR_MS),
        (user + 1, category, 0, True, ts - HOUR_MS),
    )
    features = build(make_events((user, 1, 0, START)), organic, corpus)
    assert column(features, request, 0, "interest_1d_log") == pytest.approx(np.log(2))
    assert column(features, request, 0, "interest_1d_share") == pytest.approx(1 / 7)
    assert column(features, request, 0, "interest_3d_log") == pytest.approx(np.log(3))
    assert column(features, request, 0, "interest_skipped_log") == pytest.approx(np.log(2))


def test_unknown_user_has_no_history(corpus):
    features = build(ad_events(corpus.timelines), organic_events(corpus.timelines), corpus)
    stranger = corpus.decisions.slice(39, 1)
    stranger = stranger.set_column(
        stranger.column_names.index("user_key"), "user_key", pa.array([999], pa.uint64())
    )
    assert column(features, stranger, 0, "user_log_shown") == 0.0
    assert column(features, stranger, 0, "interest_all_log") == 0.0


def test_events_are_taken_from_tokens(corpus):
    rows = ad_events(corpus.timelines)
    clicked = (corpus.decisions["action"].to_numpy() >= Action.CLICK).sum()
    assert (rows["action"].to_numpy() == Action.IMPRESSION).sum() == corpus.decisions.num_rows
    assert (rows["action"].to_numpy() == Action.CLICK).sum() == clicked
    organic = organic_events(corpus.timelines)
    assert set(organic["category"].to_pylist()) == set(range(NUM_CATEGORIES))
    assert set(organic["is_liked"].to_pylist()) == {True}
