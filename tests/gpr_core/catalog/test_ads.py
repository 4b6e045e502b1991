"""Attributes and versions of ads, looked up at a time."""

import numpy as np
import pytest

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import DAY_MS, TokenKind
from gpr_core.features.fields import FIELDS
from gpr_core.support.errors import ArtifactError, ContractError
from tests.gpr_core.catalog.catalogs import make_ads, make_versions


@pytest.fixture
def trie():
    """Ad 7 has rank 0, ad 5 rank 1."""
    return Trie.build(np.array([[1], [0]], np.int16), np.array([5, 7], np.uint64), (2,))


@pytest.fixture
def table(trie):
    ads = make_ads(
        [
            {"ad_key": 5, "launch_ts": 100, "cat_l1": 3, "brand": 9, "advertiser_key": 50},
            {"ad_key": 7, "launch_ts": 0, "cat_l1": 500, "brand": 5000, "advertiser_key": 70},
            {"ad_key": 9, "launch_ts": 0},
        ]
    )
    versions = make_versions(
        [
            {"ad_key": 7, "valid_from": 300, "status": 1, "bid_micros": 7_300_000},
            {"ad_key": 5, "valid_from": 50, "bid_type": 2, "bid_micros": 5_050_000},
            {"ad_key": 5, "valid_from": 200, "bid_type": 1, "valid_to": 250},
            {"ad_key": 7, "valid_from": 10, "freq_cap_day": 3},
            {"ad_key": 9, "valid_from": 0},
        ]
    )
    return AdTable.build(ads, versions, trie)


def test_rows_follow_the_ranks(table):
    assert table.ad_key_A.tolist() == [7, 5]
    assert table.advertiser_key_A.tolist() == [70, 50]
    assert table.launch_ts_A.tolist() == [0, 100]
    assert table.rank_V.tolist() == [0, 0, 1, 1]


def test_a_version_starts_at_the_launch_and_ends_with_the_next(table):
    assert table.start_V.tolist() == [10, 300, 100, 200]
    assert table.stop_V.tolist() == [300, np.iinfo(np.int64).max, 200, 250]


def test_the_version_valid_at_a_time_is_found(table):
    ts_B = np.array([9, 10, 99, 100, 199, 200, 250, 300])
    expected = [[-1, -1], [0, -1], [0, -1], [0, 2], [0, 2], [0, 3], [0, -1], [1, -1]]
    assert table.versions_at(ts_B).tolist() == expected


def test_the_order_of_the_requests_does_not_matter(table):
    ts_B = np.array([300, 9, 150])
    assert table.versions_at(ts_B).tolist() == [[1, -1], [-1, -1], [0, 2]]


def test_single_lookups_agree_with_whole_rows(table):
    ts_B = np.arange(0, 400, 7)
    both_BA = table.versions_at(ts_B)
    for rank in (0, 1):
        single_B = table.version_of(ts_B, np.full(ts_B.size, rank))
        assert single_B.tolist() == both_BA[:, rank].tolist()


def test_features_are_one_based_and_clipped_to_the_fields(table):
    features = table.features_at(np.array([100 + DAY_MS, 50, 150]), np.array([1, 1, 0]))
    # Ad 5 a day after its launch has no version any more; before its launch it has no age.
    assert features.tolist() == [[0, 0, 2, 4, 10], [0, 0, 0, 4, 10], [1, 6, 1, 127, 2047]]
    names = ("bid_type", "price_bucket", "ad_age_bucket", "category", "brand")
    sizes = {field.name: field.size for field in FIELDS[TokenKind.ITEM]}
    assert (features.max(0) < [sizes[name] for name in names]).all()


def test_an_ad_of_the_trie_without_row_is_refused(trie):
    with pytest.raises(ArtifactError, match=r"1 ads of the trie have no row in the table ads,.*7"):
        AdTable.build(make_ads([{"ad_key": 5}]), make_versions([{"ad_key": 5}]), trie)


def test_an_ad_of_the_trie_without_version_is_refused(trie):
    ads = make_ads([{"ad_key": 5}, {"ad_key": 7}])
    with pytest.raises(ArtifactError, match=r"1 ads .* no row in the table ad_versions, .*5"):
        AdTable.build(ads, make_versions([{"ad_key": 7}]), trie)


def test_a_negative_place_is_refused(trie):
    ads = make_ads([{"ad_key": 5}, {"ad_key": 7}])
    versions = make_versions([{"ad_key": 5, "geo_set": [-1]}, {"ad_key": 7}])
    with pytest.raises(ContractError, match="geo sets hold the place -1"):
        AdTable.build(ads, versions, trie)


def test_an_empty_catalog_has_empty_rows():
    trie = Trie.build(np.zeros((0, 1), np.int16), np.zeros(0, np.uint64), (2,))
    table = AdTable.build(make_ads([]), make_versions([]), trie)
    assert table.versions_at(np.array([5, 6])).shape == (2, 0)


def test_an_impression_may_cost_a_click_or_a_conversion(table):
    # A thousand impressions of CPM; a click and a conversion at their whole bid.
    found = table.largest_cost(np.array([20, 310, 150, 220]), np.array([0, 0, 1, 1]))
    assert found.tolist() == [1_000, 7_300, 5_050_000, 1_000_000]
