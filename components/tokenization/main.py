"""The step `tokenization`: fit or keep the tokenizer, encode every item, build the catalog."""

import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq

from components.runtime.context import StepContext, StepResult
from components.tokenization.codebook_report import (
    business_kinds,
    describe_codes,
    quality_by_split,
    report_metrics,
    write_curve,
    write_report,
)
from components.tokenization.encoding import Encoding, encode_items, kept_ids, paths_of_the_day
from components.tokenization.gates import measure_gates
from components.tokenization.items import TRAIN, VALIDATION, Items, ads_of, load_items
from components.tokenization.life import id_map_of_the_day, life_metrics, life_of_the_day
from components.tokenization.start import STATS_FILE, start_tokenizer
from gpr_core.catalog.bundle import save_catalog
from gpr_core.tokenizer.bundle import make_tokenizer, save_tokenizer
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.id_map import ID_MAP_FILE
from gpr_core.tokenizer.quality import business_collision
from gpr_core.tokenizer.sid_map import build_sid_map

PARAMS = TokenizationConfig


def run(context: StepContext[TokenizationConfig]) -> StepResult:
    """Execute the step.

    Args:
        context: Inputs `corpus`; outputs `tokenizer` and `catalog`. With a champion its codebooks
            and the ids of all items it knew are kept.

    Returns:
        Quality metrics and the four gates.

    Raises:
        ConfigError: If the sizes do not fit the data or the champion's tokenizer.
        ContractError: If the corpus is not usable.
        ArtifactError: If the champion is missing or damaged, or the corpus does not belong to it.
        GateError: If a path has outgrown its suffixes.
    """
    corpus, folder = context.inputs["corpus"], context.outputs["tokenizer"]
    context.progress.phase("reading items")
    items = load_items(corpus)
    ads, ad_versions = ads_of(corpus)
    start = start_tokenizer(context, items)
    context.progress.phase("encoding")
    kept = kept_ids(context, start.stored_ids)
    ours, reference = encode_items(start.tokenizer, items, kept), _rq_kmeans(context, items)
    paths = paths_of_the_day(context, items, ads, ours, kept)
    paths.rule.save(folder)
    version = save_tokenizer(folder, start.tokenizer)
    error_M = np.square(items.x_MD - ours.rebuilt_MD).sum(1)
    sid_map = build_sid_map(items.table, paths.path_MP, error_M, ads, tokenizer_version=version)
    life = life_of_the_day(context, items, ours.code_ML, error_M)
    life.save(folder)
    pq.write_table(sid_map, folder / "sid_map.parquet", compression="zstd")
    id_map = id_map_of_the_day(context, sid_map)
    pq.write_table(id_map, folder / ID_MAP_FILE, compression="zstd")
    shutil.copyfile(corpus / STATS_FILE, folder / STATS_FILE)
    context.progress.phase("building the catalog")
    save_catalog(
        context.outputs["catalog"],
        sid_map,
        ads,
        ad_versions,
        codebook_sizes=paths.sizes,
        tokenizer_version=version,
    )
    context.progress.phase("measuring")
    quality = {
        "tokenizer": quality_by_split(items, ours),
        "rq_kmeans": quality_by_split(items, reference),
    }
    business = business_collision(*business_kinds(sid_map, ads, ad_versions))
    description = describe_codes(corpus, items, ours)
    write_report(folder, start.fit, quality, business, description, version)
    write_curve(context.plots / "training.csv", start.fit.curve)
    return StepResult(
        metrics=report_metrics(quality, ours, start.fit, business)
        | life_metrics(life)
        | paths.metrics(),
        gates=measure_gates(context.params, items, ours, quality, start.tokenizer),
        bounds={"sid_map": paths.bounds()},
    )


def _rq_kmeans(context: StepContext[TokenizationConfig], items: Items) -> Encoding:
    """Encode the items with RQ-KMeans fitted today, to compare with."""
    plain = make_tokenizer(replace(context.params, kind="rq_kmeans"))
    plain.fit(
        items.sample(TRAIN), items.sample(VALIDATION), seed=context.seed, threads=context.threads
    )
    return encode_items(plain, items, None)
