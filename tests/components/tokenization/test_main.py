"""The step from corpus to tokenizer and catalog."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from components.mtp_pretrain import main as mtp_step
from components.tokenization.main import run
from components.tokenization.spec import SPEC
from data_contracts.check import check_table
from gpr_core.catalog.bundle import load_catalog
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.data.tables import ItemKind
from gpr_core.features.timeline_store import TimelineStore
from gpr_core.generation.protocols import DecodeRequests
from gpr_core.generation.value_guided import decode
from gpr_core.models.checkpoint import load_checkpoint
from gpr_core.support.files import read_json
from gpr_core.support.hashing import hash_files
from gpr_core.tokenizer.bundle import load_tokenizer, read_version_file
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.leaf_policy import LEAF_FILE, LeafRule, choose_leaf_rule
from gpr_core.tokenizer.sid_map import codes_of, stored_rows
from tests import mini_day
from tests.components.tokenization.corpora import (
    CONFIG,
    make_step_context,
    passed,
)
from tests.conformance.leaf_policy import POLICIES, wide_beam
from tests.gpr_core.catalog.catalogs import all_paths
from tests.gpr_core.training.steps import MTP


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


def test_the_default_policy_writes_no_rule(first_day):
    assert not (first_day[0].outputs["tokenizer"] / LEAF_FILE).exists()


def test_under_every_policy_the_catalog_holds_the_paths_of_all_ads(policy_day):
    context, result = policy_day
    folder, policy = context.outputs["tokenizer"], context.params.leaf_policy
    assert passed(result) == dict.fromkeys(SPEC.gates, True)
    sid_map = pq.read_table(folder / "sid_map.parquet")
    ads = sid_map.filter(pa.array(sid_map["item_kind"].to_numpy() == ItemKind.AD))
    version = str(read_version_file(folder)["version"])
    trie = load_catalog(context.outputs["catalog"], tokenizer_version=version).trie
    assert LeafRule.load(folder) == choose_leaf_rule(policy, codes_of(ads)[:, :2], (8, 8))
    assert trie.codebook_sizes == LeafRule.load(folder).path_sizes((8, 8))
    expected = dict(zip(ads["item_key"].to_pylist(), codes_of(ads).tolist(), strict=True))
    assert dict(zip(trie.ad_key_A.tolist(), all_paths(trie).tolist(), strict=True)) == expected


def test_a_policy_leaves_the_codes_of_the_tokenizer_alone(first_day, policy_day):
    plain, changed = (
        pq.read_table(day[0].outputs["tokenizer"] / "sid_map.parquet")
        for day in (first_day, policy_day)
    )
    is_ad = plain["item_kind"].to_numpy() == ItemKind.AD
    first_levels = 2 if policy_day[0].params.leaf_policy == "suffix" else 1
    codes, paths = codes_of(plain), codes_of(changed)
    assert paths[:, :first_levels].tolist() == codes[:, :first_levels].tolist()
    assert paths[~is_ad, :2].tolist() == codes[~is_ad].tolist()
    assert not paths[~is_ad, 2:].any()
    assert changed["quant_err"].equals(plain["quant_err"])
    quality = [
        {name: value for name, value in day[1].metrics.items() if "collision" not in name}
        for day in (first_day, policy_day)
    ]
    assert quality[0].items() <= quality[1].items()


@pytest.mark.parametrize("name", ["tokenizer", "catalog"])
def test_two_policies_have_two_versions(name, first_day, policy_day):
    files = [day[0].outputs[name] / f"{name}.json" for day in (first_day, policy_day)]
    assert read_json(files[0])["version"] != read_json(files[1])["version"]


def test_under_every_policy_the_same_inputs_give_the_same_bytes(policy_day, tmp_path):
    context, result = policy_day
    again = make_step_context(tmp_path, context.inputs["corpus"], params=context.params)
    assert run(again) == result
    for name in ("tokenizer", "catalog"):
        assert hash_files(again.outputs[name]) == hash_files(context.outputs[name])


def test_the_contract_knows_the_paths_of_a_policy(policy_day):
    context, result = policy_day
    sid_map = pq.read_table(context.outputs["tokenizer"] / "sid_map.parquet")
    vectors = pq.read_table(context.inputs["corpus"] / "item_vectors.parquet")
    bounds = result.bounds["sid_map"]
    outcome = check_table(
        "sid_map", sid_map, references={"item_vectors": vectors}, parameters=bounds
    )
    outcome.raise_if_failed("step tokenization")
    sizes = load_catalog(context.outputs["catalog"]).trie.codebook_sizes
    is_numbered = context.params.leaf_policy == "suffix"
    assert bounds == {"code_high": max(sizes) - 1} | ({"leaf_rank_high": 0} if is_numbered else {})


@pytest.mark.parametrize("policy", POLICIES)
def test_a_model_is_trained_on_the_paths_and_reaches_every_ad(policy, tmp_path, tmp_path_factory):
    corpus = mini_day.shared_mini_day(tmp_path_factory).root / "corpus"
    config = TokenizationConfig(
        num_levels=2, codebook_size=4, epochs=2, hidden_width=8, leaf_policy=policy
    )
    outputs = ("tokenizer", "catalog")
    run(mini_day.make_context(tmp_path, config, inputs={"corpus": corpus}, outputs=outputs))
    inputs = {"corpus": corpus, **{name: tmp_path / name for name in outputs}}
    short = replace(MTP, epochs=1)
    mtp_step.run(mini_day.make_context(tmp_path, short, inputs=inputs, outputs=("mtp_checkpoint",)))
    version = str(read_version_file(tmp_path / "tokenizer")["version"])
    catalog = load_catalog(tmp_path / "catalog", tokenizer_version=version)
    model = load_checkpoint(tmp_path / "mtp_checkpoint", tokenizer_version=version)
    assert model.codebook_sizes == catalog.trie.codebook_sizes
    sid_map = pq.read_table(tmp_path / "tokenizer" / "sid_map.parquet")
    timelines = pq.read_table(corpus / "timelines.parquet")
    store = TimelineStore.from_tables(timelines, sid_map, model.num_levels)
    keys_B = store.request_keys[:3]
    num_ads = catalog.trie.num_ads
    requests = DecodeRequests(
        keys_B, np.full(3, mini_day.CUTOFF), EligibleAds.of_mask(np.ones((3, num_ads), np.bool_))
    )
    with torch.no_grad():
        state = model.read(store.prefix_batch(keys_B, 32))
    beam = wide_beam(num_ads, 1 if policy == "suffix" else num_ads)
    found = decode(model, model, state, requests, catalog.trie, catalog.ads, beam)
    for row in range(3):
        emitted = found.ad_key_M[found.row_M == row].tolist()
        assert sorted(emitted) == sorted(catalog.trie.ad_key_A.tolist())
