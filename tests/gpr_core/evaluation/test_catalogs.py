import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.tokenization import main as tokenization_step
from gpr_core.evaluation.catalogs import encode_catalog
from gpr_core.support.errors import ArtifactError, ContractError, GateError
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.leaf_policy import LEAF_FILE, LeafRule
from gpr_core.tokenizer.sid_map import codes_of
from tests.gpr_core.catalog.catalogs import all_paths
from tests.mini_day import NEW_ADS, make_context


def paths_by_key(sid_map, kind=1):
    rows = sid_map.filter(pa.array(sid_map["item_kind"].to_numpy() == kind))
    return dict(zip(rows["item_key"].to_pylist(), codes_of(rows).tolist(), strict=True))


@pytest.fixture(scope="module")
def catalog(mini_day):
    return encode_catalog(mini_day.root / "tokenizer", mini_day.curated.canonical)


@pytest.fixture(scope="module", params=["suffix", "hash_level"])
def tokenizer(request, mini_day, tmp_path_factory):
    """A tokenizer of the mini day under each leaf policy that changes paths."""
    root = tmp_path_factory.mktemp(request.param)
    config = TokenizationConfig(
        num_levels=2, codebook_size=4, epochs=2, hidden_width=8, leaf_policy=request.param
    )
    inputs = {"corpus": mini_day.root / "corpus"}
    outputs = ("tokenizer", "catalog")
    tokenization_step.run(make_context(root, config, inputs=inputs, outputs=outputs))
    return root / "tokenizer"


def with_last_code(folder, target, code):
    """Copy a tokenizer, all ids with another last code."""
    shutil.copytree(folder, target)
    stored = pq.read_table(target / "sid_map.parquet")
    place = codes_of(stored).shape[1] - 1 + stored.schema.get_field_index("c1")
    changed = pa.array(np.full(stored.num_rows, code), pa.int16())
    pq.write_table(
        stored.set_column(place, stored.schema.field(place), changed), target / "sid_map.parquet"
    )
    return target


def test_items_that_had_an_id_keep_it_and_new_ones_get_one(catalog, mini_day):
    old = paths_by_key(pq.read_table(mini_day.root / "tokenizer" / "sid_map.parquet"))
    new = paths_by_key(catalog.sid_map)
    assert new.keys() - old.keys() == set(NEW_ADS)
    assert {key: new[key] for key in old} == old
    assert catalog.num_new == len(NEW_ADS)


def test_the_tree_holds_the_paths_of_the_ids(catalog):
    trie = catalog.catalog.trie
    expected = paths_by_key(catalog.sid_map)
    found = dict(zip(trie.ad_key_A.tolist(), all_paths(trie).tolist(), strict=True))
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


def test_under_every_policy_old_ids_stay_and_new_ads_follow_the_rule(tokenizer, catalog, mini_day):
    found = encode_catalog(tokenizer, mini_day.curated.canonical)
    old, new = (
        paths_by_key(sid_map)
        for sid_map in (pq.read_table(tokenizer / "sid_map.parquet"), found.sid_map)
    )
    assert new.keys() - old.keys() == set(NEW_ADS)
    assert {key: new[key] for key in old} == old
    rule = LeafRule.load(tokenizer)
    assert found.catalog.trie.codebook_sizes == rule.path_sizes((4, 4))
    codes = paths_by_key(catalog.sid_map)
    if rule.policy == "suffix":
        assert {key: path[:2] for key, path in new.items()} == codes
        for key in NEW_ADS:
            given = [path[2] for path in old.values() if path[:2] == new[key][:2]]
            assert new[key][2] > max(given, default=-1)
        assert len({tuple(path) for path in new.values()}) == len(new)
    else:
        assert {key: path[:1] for key, path in new.items()} == {
            key: path[:1] for key, path in codes.items()
        }
        # All ads of the mini day have one advertiser and one conversion type.
        assert len({path[1] for path in new.values()}) == 1


def test_a_new_ad_without_a_free_suffix_asks_for_a_refit(tokenizer, mini_day, tmp_path):
    full = with_last_code(tokenizer, tmp_path / "tokenizer", LeafRule.load(tokenizer).size - 1)
    if LeafRule.load(tokenizer).policy == "suffix":
        with pytest.raises(GateError, match="suffixes, the tokenizer has 16"):
            encode_catalog(full, mini_day.curated.canonical)
    else:
        assert encode_catalog(full, mini_day.curated.canonical).num_new == len(NEW_ADS)


def test_ids_and_rule_of_two_policies_are_refused(tokenizer, mini_day, tmp_path):
    if LeafRule.load(tokenizer).policy == "suffix":
        shutil.copytree(mini_day.root / "tokenizer", tmp_path / "tokenizer")
        shutil.copyfile(tokenizer / "sid_map.parquet", tmp_path / "tokenizer" / "sid_map.parquet")
        assert not (tmp_path / "tokenizer" / LEAF_FILE).exists()
        with pytest.raises(ArtifactError, match="older ids have 3 levels, the leaf policy value"):
            encode_catalog(tmp_path / "tokenizer", mini_day.curated.canonical)
