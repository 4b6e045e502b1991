"""The step from corpus to tokenizer and catalog."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.runtime.model_store import ModelStore, seal_bundle
from components.tokenization.main import run
from components.tokenization.spec import SPEC
from gpr_core.catalog.bundle import load_catalog
from gpr_core.data.days import parse_day
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_files
from gpr_core.tokenizer.bundle import load_tokenizer, read_version_file
from gpr_core.tokenizer.sid_map import codes_of, stored_rows
from tests.components.tokenization.corpora import (
    CONFIG,
    make_step_context,
    write_corpus,
    write_vectors,
)


@pytest.fixture(scope="module")
def first_day(tmp_path_factory):
    """Context and result of a run without a champion."""
    root = tmp_path_factory.mktemp("first_day")
    context = make_step_context(root, write_corpus(root / "corpus"))
    return context, run(context)


@pytest.fixture(scope="module")
def registry(first_day, tmp_path_factory):
    """A registry whose only version has the tokenizer of the first day; its root and version."""
    root = tmp_path_factory.mktemp("registry")
    bundle = root / "bundle"
    for name in ("tokenizer", "catalog"):
        shutil.copytree(first_day[0].outputs[name], bundle / name)
    for name in ("policy", "corpus_stats"):
        write_json(bundle / name / "file.json", name)
    version = seal_bundle(bundle, parse_day("2026-01-13"))
    ModelStore(root / "registry").publish(bundle, version)
    return root / "registry", version


def passed(result):
    return {gate.name: gate.passed for gate in result.gates}


def test_every_gate_is_answered_and_passes(first_day):
    assert passed(first_day[1]) == dict.fromkeys(SPEC.gates, True)


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


def test_the_report_compares_at_equal_n(first_day):
    report = read_json(first_day[0].outputs["tokenizer"] / "quality.json")
    for part, count in {"train": 105, "validation": 15, "held_out": 30, "all": 150}.items():
        assert report["tokenizer"][part]["num_items"] == count
        assert report["rq_kmeans"][part]["num_items"] == count
    metrics = first_day[1].metrics
    assert metrics["tokenizer/all/collision"] == report["tokenizer"]["all"]["collision"]
    assert metrics["stored_ids_reproduced_share"] == 1.0
    assert all(np.isfinite(value) for value in metrics.values())
    assert 0 <= report["business_collision"] <= 1


def test_the_curve_is_a_plot(first_day):
    lines = (first_day[0].plots / "training.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,loss,")
    assert lines[1].startswith("0,0.0,")
    assert len(lines) >= 3


def test_the_statistics_travel_with_the_tokenizer(first_day):
    stats = read_json(first_day[0].outputs["tokenizer"] / "embedding_stats.json")
    assert stats == {"of": "first"}


def test_the_same_inputs_give_the_same_bytes(first_day, tmp_path):
    again = make_step_context(tmp_path, first_day[0].inputs["corpus"])
    result = run(again)
    assert result == first_day[1]
    for name in ("tokenizer", "catalog"):
        assert hash_files(again.outputs[name]) == hash_files(first_day[0].outputs[name])


def test_plain_rq_kmeans_can_be_chosen(first_day, tmp_path):
    context = make_step_context(
        tmp_path, first_day[0].inputs["corpus"], params=replace(CONFIG, kind="rq_kmeans")
    )
    result = run(context)
    assert passed(result) == dict.fromkeys(SPEC.gates, True)
    part = "all/collision"
    assert result.metrics[f"tokenizer/{part}"] == result.metrics[f"rq_kmeans/{part}"]
    assert (tmp_path / "plots" / "training.csv").read_text().count("\n") == 1


def run_with_champion(root, registry, *, num_ads=66, seed=0, params=CONFIG):
    corpus = write_corpus(root / "corpus", num_ads=num_ads, seed=seed)
    folder, version = registry
    context = make_step_context(root, corpus, params=params, champion=version, registry=folder)
    return context, run(context)


def test_vectors_of_other_statistics_are_refused(registry, tmp_path):
    folder, version = registry
    corpus = write_corpus(tmp_path / "corpus", stats="second")
    context = make_step_context(tmp_path, corpus, champion=version, registry=folder)
    with pytest.raises(ArtifactError, match="centered with other statistics"):
        run(context)


def test_the_contract_knows_the_size_of_the_codebooks(first_day):
    assert first_day[1].bounds == {"sid_map": {"code_high": CONFIG.codebook_size - 1}}


def test_with_a_champion_codebooks_and_old_ids_stay(first_day, registry, tmp_path):
    context, result = run_with_champion(tmp_path, registry)
    old, new = first_day[0].outputs["tokenizer"], context.outputs["tokenizer"]
    assert read_version_file(new) == read_version_file(old)
    ids = [pq.read_table(folder / "sid_map.parquet") for folder in (old, new)]
    assert ids[1].num_rows == 156
    rows = stored_rows(ids[1], ids[0])
    assert ids[1].take(rows).equals(ids[0])
    assert result.metrics["stored_ids_reproduced_share"] == 1.0
    assert read_json(new / "embedding_stats.json") == {"of": "first"}
    assert load_catalog(context.outputs["catalog"]).trie.num_ads == 66


def test_old_ids_stay_even_if_the_vectors_moved(first_day, registry, tmp_path):
    context, result = run_with_champion(tmp_path, registry, num_ads=60, seed=40)
    ids = [
        pq.read_table(outputs["tokenizer"] / "sid_map.parquet")
        for outputs in (first_day[0].outputs, context.outputs)
    ]
    assert codes_of(ids[1]).tolist() == codes_of(ids[0]).tolist()
    assert result.metrics["stored_ids_reproduced_share"] < 0.5


def test_a_champion_of_other_sizes_is_refused(registry, tmp_path):
    with pytest.raises(ConfigError, match=r"the champion's tokenizer is .* \[8, 8\], 6\)"):
        run_with_champion(tmp_path, registry, params=replace(CONFIG, num_levels=3))


def test_a_damaged_champion_is_refused(registry, tmp_path):
    folder, version = registry
    copy = tmp_path / "registry"
    shutil.copytree(folder, copy)
    (copy / "versions" / version / "tokenizer" / "sid_map.parquet").write_bytes(b"other")
    with pytest.raises(ArtifactError, match="do not match its manifest"):
        run_with_champion(tmp_path, (copy, version))


def test_an_unknown_champion_is_refused(registry, tmp_path):
    with pytest.raises(ArtifactError, match="no model version 'nobody'"):
        run_with_champion(tmp_path, (registry[0], "nobody"))


def test_an_item_without_vector_fails_the_gate(tmp_path):
    context = make_step_context(tmp_path, write_corpus(tmp_path / "corpus", without_vector=2))
    result = run(context)
    assert passed(result) == dict.fromkeys(SPEC.gates, True) | {"every_item_has_id": False}
    assert result.gates[0].value == 2.0


def test_unused_codes_fail_the_gate(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    items = pq.read_table(corpus / "item_vectors.parquet")
    corners = np.eye(6, dtype=np.float32)[np.arange(150) % 3]
    write_vectors(corpus, items["item_kind"], items["item_key"], corners)
    result = run(make_step_context(tmp_path, corpus))
    assert passed(result)["cur_level_1"] is False
    assert result.gates[1].value == 3 / 8


def test_more_codes_than_training_items_are_refused(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    context = make_step_context(tmp_path, corpus, params=replace(CONFIG, codebook_size=512))
    with pytest.raises(
        ConfigError, match=r"codebook_size is 512 but only \d+ training items exist"
    ):
        run(context)
