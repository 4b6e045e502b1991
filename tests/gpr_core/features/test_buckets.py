import numpy as np
import pyarrow as pa
import pytest

from gpr_core.catalog.ads import ad_age_bucket
from gpr_core.data.engine import Engine, relation
from gpr_core.data.tables import DAY_MS
from gpr_core.features.buckets import AD_AGE_EDGES_DAYS, Buckets, bucket_of, fit_buckets
from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.files import write_json

OUT = pa.schema([("row", pa.int64()), ("bucket", pa.int16())])


def bucket(values, edges):
    """Put values into buckets with an expression."""
    rows = pa.table({"row": range(len(values)), "value": pa.array(values, pa.int64())})
    table = relation(rows)
    with Engine() as engine:
        found = table.mutate(bucket=bucket_of(table["value"], edges))
        return engine.collect(found, ["row"], OUT)["bucket"].to_pylist()


def test_edges_fill_the_buckets_evenly():
    fitted = fit_buckets(np.arange(1, 101), np.arange(10), num_price=4, num_dwell=2)
    # Order statistics at 1/4, 2/4, 3/4 of 1..100 and at 1/2 of 0..9.
    assert fitted == Buckets(price_edges=(25, 50, 75), dwell_edges=(4,))


def test_repeated_values_give_fewer_edges_and_no_empty_first_bucket():
    prices = np.array([5, 5, 5, 5, 5, 5, 5, 9])
    fitted = fit_buckets(prices, np.array([], dtype=np.int64), num_price=8, num_dwell=4)
    assert fitted == Buckets(price_edges=(), dwell_edges=())
    assert bucket([5, 9], fitted.price_edges) == [1, 1]


def test_a_value_on_an_edge_belongs_to_the_bucket_above_and_null_is_unknown():
    assert bucket([-9, 24, 25, 49, 50, 10**9, None], (25, 50, 75)) == [1, 1, 2, 2, 3, 4, 0]


def test_ad_ages_fall_into_the_buckets_of_the_catalog():
    days = np.array([0, 1, 2, 3, 6, 7, 14, 15, 30, 31, 62, 63, 1000])
    ages = np.concatenate([days * DAY_MS, days * DAY_MS + DAY_MS - 1])
    found = bucket(ages.tolist(), tuple(edge * DAY_MS for edge in AD_AGE_EDGES_DAYS))
    assert found == ad_age_bucket(ages).tolist()


def test_buckets_survive_a_file(tmp_path):
    fitted = Buckets(price_edges=(1, 2), dwell_edges=())
    fitted.save(tmp_path / "buckets.json")
    assert Buckets.load(tmp_path / "buckets.json") == fitted


def test_a_file_of_another_version_is_refused(tmp_path):
    write_json(tmp_path / "buckets.json", {"version": 9})
    with pytest.raises(ArtifactError, match="has version 9, expected 1"):
        Buckets.load(tmp_path / "buckets.json")


def test_no_impressions_are_refused():
    none = np.array([], dtype=np.int64)
    with pytest.raises(ContractError, match="no impression to fit price buckets on"):
        fit_buckets(none, none, num_price=4, num_dwell=4)
