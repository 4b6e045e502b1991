"""Catalogs survive storage and refuse to be something else."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpr_core.catalog.bundle import load_catalog, save_catalog
from gpr_core.support.errors import ArtifactError
from gpr_core.tokenizer.sid_map import build_sid_map
from tests.gpr_core.catalog.catalogs import make_ads, make_versions


def save(folder, tokenizer_version="t1"):
    """A catalog of two ads; one piece of content and one ad without id stay outside."""
    ads = make_ads([{"ad_key": 5}, {"ad_key": 7, "launch_ts": 3}, {"ad_key": 9}])
    versions = make_versions(
        [{"ad_key": key, "valid_from": ts} for key in (5, 7, 9) for ts in (4, 0)]
    )
    items = pa.table({"item_kind": [1, 1, 2], "item_key": [5, 7, 5]})
    codes = np.array([[1, 0], [0, 1], [1, 1]], np.int16)
    sid_map = build_sid_map(items, codes, np.zeros(3), ads, tokenizer_version=tokenizer_version)
    return save_catalog(
        folder, sid_map, ads, versions, codebook_sizes=(2, 2), tokenizer_version=tokenizer_version
    )


def test_a_stored_catalog_is_the_same_catalog(tmp_path):
    version = save(tmp_path)
    catalog = load_catalog(tmp_path, tokenizer_version="t1")
    assert (catalog.version, catalog.tokenizer_version) == (version, "t1")
    assert catalog.trie.ad_key_A.tolist() == [7, 5]
    assert catalog.ads.launch_ts_A.tolist() == [3, 0]
    assert pq.read_table(tmp_path / "ads.parquet")["ad_key"].to_pylist() == [7, 5]
    stored = pq.read_table(tmp_path / "ad_versions.parquet")
    assert stored["ad_key"].to_pylist() == [7, 7, 5, 5]
    assert stored["valid_from"].to_pylist() == [0, 4, 0, 4]


def test_equal_content_has_an_equal_version(tmp_path):
    assert save(tmp_path / "a") == save(tmp_path / "b")
    assert save(tmp_path / "a") != save(tmp_path / "c", tokenizer_version="t2")


def test_a_changed_file_is_refused(tmp_path):
    save(tmp_path)
    pq.write_table(make_ads([{"ad_key": 5}, {"ad_key": 7}]), tmp_path / "ads.parquet")
    with pytest.raises(ArtifactError, match="catalog is corrupt"):
        load_catalog(tmp_path)


def test_another_tokenizer_is_refused(tmp_path):
    save(tmp_path)
    with pytest.raises(ArtifactError, match="catalog is of tokenizer t1, expected t2"):
        load_catalog(tmp_path, tokenizer_version="t2")


def test_a_missing_file_is_refused(tmp_path):
    save(tmp_path)
    (tmp_path / "catalog.json").unlink()
    with pytest.raises(ArtifactError, match=r"catalog\.json is missing"):
        load_catalog(tmp_path)
