"""The step from corpus to tokenizer and catalog."""

import numpy as np
import pyarrow.parquet as pq

from components.tokenization.main import run
from gpr_core.catalog.bundle import load_catalog
from gpr_core.support.files import read_json
from gpr_core.support.hashing import hash_files
from gpr_core.tokenizer.bundle import load_tokenizer, read_version_file
from gpr_core.tokenizer.sid_map import codes_of, stored_rows
from tests.components.tokenization.corpora import (
    CONFIG,
    make_step_context,
)


def test_every_item_has_an_id_of_this_tokenizer(first_day):
    folder = first_day[0].outputs["tokenizer"]
    sid_map = pq.read_table(folder / "sid_map.parquet")
    version = read_version_file(folder)["version"]
    assert sid_map.num_rows == 150
    assert set(sid_map["tokenizer_version"].to_pylist()) == {version}
    tokenizer = load_tokenizer(folder, version=version)
    vectors = pq.read_table(first_day[0].inputs["corpus"] / "item_vectors.parquet")
    x = np.stack(vectors["x"].to_numpy())
    rows = stored_rows(sid_map, vectors)
    assert codes_of(sid_map)[rows].tolist() == tokenizer.encode(x).tolist()
    error = np.square(x - tokenizer.decode(tokenizer.encode(x))).sum(1)
    assert np.allclose(sid_map["quant_err"].to_numpy()[rows], error)


def test_every_ad_is_in_the_trie_near_duplicates_too(first_day):
    version = read_version_file(first_day[0].outputs["tokenizer"])["version"]
    catalog = load_catalog(first_day[0].outputs["catalog"], tokenizer_version=version)
    assert sorted(catalog.trie.ad_key_A.tolist()) == list(range(1, 61))
    assert catalog.trie.codebook_sizes == (8, 8)


def test_the_statistics_travel_with_the_tokenizer(first_day):
    stats = read_json(first_day[0].outputs["tokenizer"] / "embedding_stats.json")
    assert stats == {"of": "first"}


def test_the_same_inputs_give_the_same_bytes(first_day, tmp_path):
    again = make_step_context(tmp_path, first_day[0].inputs["corpus"])
    result = run(again)
    assert result == first_day[1]
    for name in ("tokenizer", "catalog"):
        assert hash_files(again.outputs[name]) == hash_files(first_day[0].outputs[name])


def test_the_contract_knows_the_size_of_the_codebooks(first_day):
    assert first_day[1].bounds == {"sid_map": {"code_high": CONFIG.codebook_size - 1}}
