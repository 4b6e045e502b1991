"""Codebooks are kept, watched and refitted."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.tokenization.life import life_metrics
from components.tokenization.main import run
from gpr_core.data.days import day_end_ms, parse_day
from gpr_core.tokenizer.bundle import read_version_file
from gpr_core.tokenizer.drift import TokenizerLife
from gpr_core.tokenizer.sid_map import codes_of
from tests.components.tokenization.corpora import (
    CONFIG,
    launch,
    make_step_context,
    passed,
    run_with_champion,
    write_corpus,
)


def test_the_day_of_a_fit_has_no_new_items(first_day):
    context, result = first_day
    life = TokenizerLife.load(context.outputs["tokenizer"])
    assert (life.fitted_day, life.num_new) == ("2026-01-14", 0)
    assert result.metrics["life/held_out_error"] == life.held_out_error > 0
    assert "life/new_error" not in result.metrics


def test_items_born_since_the_fit_are_watched(first_day, registry, tmp_path):
    corpus = write_corpus(tmp_path / "corpus", num_ads=66)
    launch(corpus, {key: day_end_ms(parse_day("2026-01-14")) for key in range(61, 67)})
    folder, version = registry
    context = make_step_context(tmp_path, corpus, champion=version, registry=folder)
    result = run(context)
    life = TokenizerLife.load(context.outputs["tokenizer"])
    first = TokenizerLife.load(first_day[0].outputs["tokenizer"])
    assert (life.fitted_day, life.held_out_error) == (first.fitted_day, first.held_out_error)
    assert life.num_new == 6
    ids = pq.read_table(context.outputs["tokenizer"] / "sid_map.parquet")
    is_new = (ids["item_kind"].to_numpy() == 1) & (ids["item_key"].to_numpy() > 60)
    assert life.new_error == pytest.approx(ids["quant_err"].to_numpy()[is_new].mean())
    assert result.metrics.items() >= life_metrics(life).items()


def test_without_a_refit_the_id_map_is_empty(first_day):
    assert pq.read_table(first_day[0].outputs["tokenizer"] / "id_map.parquet").num_rows == 0


def test_a_refit_fits_new_codebooks_and_maps_the_old_ids(first_day, registry, tmp_path):
    context, result = run_with_champion(tmp_path, registry, refit=True)
    old, new = first_day[0].outputs["tokenizer"], context.outputs["tokenizer"]
    versions = [read_version_file(folder)["version"] for folder in (old, new)]
    assert versions[0] != versions[1]
    assert all(passed(result).values())
    assert TokenizerLife.load(new).fitted_day == "2026-01-14"
    id_map = pq.read_table(new / "id_map.parquet")
    assert id_map.num_rows == 150
    assert set(id_map["old_version"].to_pylist()) == {versions[0]}
    assert set(id_map["new_version"].to_pylist()) == {versions[1]}
    old_ids, new_ids = (pq.read_table(folder / "sid_map.parquet") for folder in (old, new))
    assert id_map["old_path"].to_pylist() == codes_of(old_ids).tolist()
    is_common = (new_ids["item_kind"].to_numpy() == 2) | (new_ids["item_key"].to_numpy() <= 60)
    assert id_map["new_path"].to_pylist() == codes_of(new_ids)[np.flatnonzero(is_common)].tolist()


def test_a_refit_may_change_the_sizes(registry, tmp_path):
    context, _ = run_with_champion(
        tmp_path, registry, params=replace(CONFIG, num_levels=3), refit=True
    )
    id_map = pq.read_table(context.outputs["tokenizer"] / "id_map.parquet")
    assert {len(path) for path in id_map["old_path"].to_pylist()} == {2}
    assert {len(path) for path in id_map["new_path"].to_pylist()} == {3}
