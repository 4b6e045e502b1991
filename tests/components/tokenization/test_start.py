"""Codebooks are kept from the champion, or fitted where there is none."""

import shutil
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

from components.tokenization.main import run
from components.tokenization.spec import SPEC
from gpr_core.catalog.bundle import load_catalog
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.support.files import read_json
from gpr_core.tokenizer.bundle import read_version_file
from gpr_core.tokenizer.sid_map import stored_rows
from tests.components.tokenization.corpora import (
    CONFIG,
    make_step_context,
    passed,
    run_with_champion,
    write_corpus,
)


def test_vectors_of_other_statistics_are_refused(registry, tmp_path):
    folder, version = registry
    corpus = write_corpus(tmp_path / "corpus", stats="second")
    context = make_step_context(tmp_path, corpus, champion=version, registry=folder)
    with pytest.raises(ArtifactError, match="centered with other statistics"):
        run(context)


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


def test_a_champion_of_other_sizes_is_refused(registry, tmp_path):
    with pytest.raises(ConfigError, match=r"the champion's tokenizer is .* \[8, 8\], 6, 'none'\)"):
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


def test_more_codes_than_training_items_are_refused(tmp_path):
    corpus = write_corpus(tmp_path / "corpus")
    context = make_step_context(tmp_path, corpus, params=replace(CONFIG, codebook_size=512))
    with pytest.raises(
        ConfigError, match=r"codebook_size is 512 but only \d+ training items exist"
    ):
        run(context)


def test_plain_rq_kmeans_can_be_chosen(first_day, tmp_path):
    context = make_step_context(
        tmp_path, first_day[0].inputs["corpus"], params=replace(CONFIG, kind="rq_kmeans")
    )
    result = run(context)
    assert passed(result) == dict.fromkeys(SPEC.gates, True)
    part = "all/collision"
    assert result.metrics[f"tokenizer/{part}"] == result.metrics[f"rq_kmeans/{part}"]
    assert (tmp_path / "plots" / "training.csv").read_text().count("\n") == 1
