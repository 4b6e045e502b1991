import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gpr_core.evaluation.catalogs import encode_catalog
from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.tokenizer.sid_map import codes_of
from tests.mini_day import NEW_ADS


def paths_by_key(sid_map, kind=1):
    rows = sid_map.filter(pa.array(sid_map["item_kind"].to_numpy() == kind))
    return dict(zip(rows["item_key"].to_pylist(), codes_of(rows).tolist(), strict=True))


@pytest.fixture(scope="module")
def catalog(mini_day):
    return encode_catalog(mini_day.root / "tokenizer", mini_day.curated.canonical)


def test_items_that_had_an_id_keep_it_and_new_ones_get_one(catalog, mini_day):
    old = paths_by_key(pq.read_table(mini_day.root / "tokenizer" / "sid_map.parquet"))
    new = paths_by_key(catalog.sid_map)
    assert new.keys() - old.keys() == set(NEW_ADS)
    assert {key: new[key] for key in old} == old
    assert catalog.num_new == len(NEW_ADS)


def test_the_tree_holds_the_paths_of_the_ids(catalog):
    trie = catalog.catalog.trie
    expected = paths_by_key(catalog.sid_map)
    found = dict(zip(trie.ad_key_A.tolist(), trie.path_AL.tolist(), strict=True))
    assert found == expected


def test_a_stored_id_is_kept_even_if_the_tokenizer_would_choose_another(mini_day, tmp_path):
    shutil.copytree(mini_day.root / "tokenizer", tmp_path / "tokenizer")
    path = tmp_path / "tokenizer" / "sid_map.parquet"
    stored = pq.read_table(path)
    flipped = (stored["c1"].to_numpy() + 1) % 4
    place = stored.schema.get_field_index("c1")
    changed = stored.set_column(place, stored.schema.field("c1"), pa.array(flipped, pa.int16()))
    pq.write_table(changed, path)
    found = encode_catalog(tmp_path / "tokenizer", mini_day.curated.canonical)
    old, new = paths_by_key(changed), paths_by_key(found.sid_map)
    assert {key: new[key] for key in old} == old


def test_ranks_of_two_tokenizers_are_translated_by_ad(catalog, mini_day, tmp_path):
    shutil.copytree(mini_day.root / "tokenizer", tmp_path / "tokenizer")
    path = tmp_path / "tokenizer" / "sid_map.parquet"
    stored = pq.read_table(path)
    place = stored.schema.get_field_index("c1")
    mirrored = pa.array(3 - stored["c1"].to_numpy(), pa.int16())
    pq.write_table(stored.set_column(place, stored.schema.field("c1"), mirrored), path)
    other = encode_catalog(tmp_path / "tokenizer", mini_day.curated.canonical)
    to_reference_A = other.to_rank_of(catalog)
    ours, theirs = catalog.catalog.ads.ad_key_A, other.catalog.ads.ad_key_A
    assert ours[to_reference_A].tolist() == theirs.tolist()
    assert to_reference_A.tolist() != list(range(len(theirs)))
    assert np.array_equal(catalog.to_rank_of(catalog), np.arange(len(ours)))


def test_a_new_item_without_embedding_is_refused(mini_day):
    canonical = dict(mini_day.curated.canonical)
    known = canonical["embeddings"]["emb_row"].to_numpy() < 1000
    canonical["embeddings"] = canonical["embeddings"].filter(pa.array(known))
    with pytest.raises(ContractError, match="2 of 2 items have no embedding"):
        encode_catalog(mini_day.root / "tokenizer", canonical)


def test_a_missing_tokenizer_is_refused(mini_day, tmp_path):
    with pytest.raises(ArtifactError, match=r"tokenizer\.json is missing"):
        encode_catalog(tmp_path, mini_day.curated.canonical)
