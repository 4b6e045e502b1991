"""The step `tokenization`: fit or keep the tokenizer, encode every item, build the catalog."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.runtime.context import GateResult, StepContext, StepResult
from components.runtime.model_store import ModelStore
from components.tokenization.items import HELD_OUT, TRAIN, VALIDATION, Items, ads_of, load_items
from gpr_core.catalog.bundle import save_catalog
from gpr_core.data.tables import ItemKind
from gpr_core.support.errors import ArtifactError, ConfigError
from gpr_core.support.files import write_json, write_text
from gpr_core.tokenizer.bundle import (
    load_tokenizer,
    make_tokenizer,
    read_version_file,
    save_tokenizer,
)
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import Epoch, FitReport, Tokenizer
from gpr_core.tokenizer.quality import (
    CodebookQuality,
    business_collision,
    code_usage,
    codebook_quality,
    collision_gain,
    path_ids,
)
from gpr_core.tokenizer.residual import Floats
from gpr_core.tokenizer.rq_kmeans import RQKMeans
from gpr_core.tokenizer.sid_map import build_sid_map, codes_of, stored_rows

PARAMS = TokenizationConfig

_STATS = "embedding_stats.json"
_SPLITS = {"train": TRAIN, "validation": VALIDATION, "held_out": HELD_OUT}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoding:
    """Codes of all items by one tokenizer."""

    codebook_sizes: tuple[int, ...]
    code_ML: npt.NDArray[np.int16]
    rebuilt_MD: Floats
    reproduced_share: float = 1.0


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
    """
    corpus, folder = context.inputs["corpus"], context.outputs["tokenizer"]
    context.progress.phase("reading items")
    items = load_items(corpus)
    ads, ad_versions = ads_of(corpus)
    tokenizer, fit = _tokenizer_of_the_day(context, items)
    version = save_tokenizer(folder, tokenizer)
    context.progress.phase("encoding")
    ours = _encode(tokenizer, items, _stored_ids(context))
    plain = RQKMeans(context.params)
    plain.fit(
        items.sample(TRAIN), items.sample(VALIDATION), seed=context.seed, threads=context.threads
    )
    reference = _encode(plain, items, None)
    error_M = np.square(items.x_MD - ours.rebuilt_MD).sum(1)
    sid_map = build_sid_map(items.table, ours.code_ML, error_M, ads, tokenizer_version=version)
    pq.write_table(sid_map, folder / "sid_map.parquet", compression="zstd")
    shutil.copyfile(corpus / _STATS, folder / _STATS)
    context.progress.phase("building the catalog")
    save_catalog(
        context.outputs["catalog"],
        sid_map,
        ads,
        ad_versions,
        codebook_sizes=ours.codebook_sizes,
        tokenizer_version=version,
    )
    context.progress.phase("measuring")
    quality = {
        "tokenizer": _quality(items, ours),
        "rq_kmeans": _quality(items, reference),
    }
    business = business_collision(*_business_kinds(sid_map, ads, ad_versions))
    _write_report(folder, fit, quality, business, version)
    _write_curve(context.plots / "training.csv", fit.curve)
    return StepResult(
        metrics=_metrics(quality, ours, fit, business),
        gates=_gates(context.params, items, ours, quality, tokenizer),
        bounds={"sid_map": {"code_high": max(ours.codebook_sizes) - 1}},
    )


def _tokenizer_of_the_day(
    context: StepContext[TokenizationConfig], items: Items
) -> tuple[Tokenizer, FitReport]:
    """Keep the champion's tokenizer, or fit one where there is no champion."""
    if context.champion is None:
        context.progress.phase(f"fitting {context.params.kind}")
        tokenizer = make_tokenizer(context.params)
        fit = tokenizer.fit(
            items.sample(TRAIN),
            items.sample(VALIDATION),
            seed=context.seed,
            threads=context.threads,
        )
        return tokenizer, fit
    context.progress.phase(f"keeping the codebooks of {context.champion}")
    folder = _champion_folder(context)
    meta = read_version_file(folder)
    sizes = [context.params.codebook_size] * context.params.num_levels
    found = (meta["kind"], meta["codebook_sizes"], meta["dim"])
    wanted = (context.params.kind, sizes, items.x_MD.shape[1])
    if found != wanted:
        raise ConfigError(
            f"the champion's tokenizer is (kind, codebook sizes, width) {found}, "
            f"parameters and corpus ask for {wanted}",
            where=f"run.champion {context.champion}",
            fix="set run.champion: null to refit and train from scratch, or restore the sizes",
        )
    if (folder / _STATS).read_bytes() != (context.inputs["corpus"] / _STATS).read_bytes():
        raise ArtifactError(
            "the item vectors were centered with other statistics than the champion's codebooks",
            where=f"corpus {_STATS}, run.champion {context.champion}",
            fix="run corpus_curation again with the same run.champion",
        )
    return load_tokenizer(folder), FitReport(curve=(), best_epoch=0)


def _champion_folder(context: StepContext[TokenizationConfig]) -> Path:
    """Find the champion's tokenizer, every byte verified."""
    store = ModelStore(context.registry)
    store.verify(str(context.champion))
    return store.path(str(context.champion)) / "tokenizer"


def _stored_ids(context: StepContext[TokenizationConfig]) -> pa.Table | None:
    """Read the ids that the champion gave."""
    if context.champion is None:
        return None
    return pq.read_table(_champion_folder(context) / "sid_map.parquet")


def _encode(tokenizer: Tokenizer, items: Items, stored: pa.Table | None) -> _Encoding:
    """Encode all items; an item that has an id keeps it, whatever its vector is today."""
    code_ML = tokenizer.encode(items.x_MD)
    reproduced_share = 1.0
    if stored is not None:
        row_M = stored_rows(stored, items.table)
        is_old_M = row_M >= 0
        old_ML = codes_of(stored)[row_M[is_old_M]]
        is_same = (code_ML[is_old_M] == old_ML).all(1)
        reproduced_share = float(is_same.mean()) if is_same.size else 1.0
        code_ML[is_old_M] = old_ML
    return _Encoding(
        codebook_sizes=tuple(len(centers_VD) for centers_VD in tokenizer.codebooks),
        code_ML=code_ML,
        rebuilt_MD=tokenizer.decode(code_ML),
        reproduced_share=reproduced_share,
    )


def _quality(items: Items, encoding: _Encoding) -> dict[str, CodebookQuality]:
    """Measure on each split and on all items."""
    parts = {name: np.flatnonzero(items.split_M == split) for name, split in _SPLITS.items()}
    parts["all"] = np.arange(items.table.num_rows)
    return {
        name: codebook_quality(
            items.x_MD[rows],
            encoding.code_ML[rows],
            encoding.rebuilt_MD[rows],
            codebook_sizes=encoding.codebook_sizes,
            labels={label: values_M[rows] for label, values_M in items.labels.items()},
        )
        for name, rows in parts.items()
        if rows.size
    }


def _business_kinds(
    sid_map: pa.Table, ads: pa.Table, ad_versions: pa.Table
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give path and (advertiser, latest bid type) of every ad, both as numbers."""
    is_ad = sid_map.column("item_kind").to_numpy() == ItemKind.AD
    ids = sid_map.filter(pa.array(is_ad))
    key_A = ids.column("item_key").to_numpy()
    version_key, start = (ad_versions.column(name).to_numpy() for name in ("ad_key", "valid_from"))
    order = np.lexsort((start, version_key))
    version_key = version_key[order]
    latest_A = np.searchsorted(version_key, key_A, side="right") - 1
    bid_type_A = ad_versions.column("bid_type").to_numpy()[order][latest_A]
    by_key = np.argsort(ads.column("ad_key").to_numpy())
    row_A = by_key[np.searchsorted(ads.column("ad_key").to_numpy()[by_key], key_A)]
    _, advertiser_A = np.unique(ads.column("advertiser_key").to_numpy()[row_A], return_inverse=True)
    kinds = np.stack([advertiser_A, bid_type_A.astype(np.int64)], axis=1)
    return path_ids(codes_of(ids)), path_ids(kinds)


def _gates(
    params: TokenizationConfig,
    items: Items,
    ours: _Encoding,
    quality: Mapping[str, Mapping[str, CodebookQuality]],
    tokenizer: Tokenizer,
) -> tuple[GateResult, ...]:
    """Judge the ids."""
    num_missing = items.num_expected - items.num_known
    is_train_M = (items.split_M == TRAIN) & items.is_canonical_M
    usage = code_usage(ours.code_ML[is_train_M, 0], ours.codebook_sizes[0])
    gain = collision_gain(quality["tokenizer"]["all"], quality["rq_kmeans"]["all"])
    arrays = (*tokenizer.codebooks, ours.rebuilt_MD)
    num_bad = sum(int((~np.isfinite(array)).sum()) for array in arrays)
    return (
        GateResult(
            name="every_item_has_id",
            passed=num_missing == 0 and items.num_expected > 0,
            value=float(num_missing),
            bound=0.0,
            message=f"{num_missing} of {items.num_expected} items have no vector and so no id; "
            "curate their embeddings",
        ),
        GateResult(
            name="cur_level_1",
            passed=usage >= params.min_usage,
            value=usage,
            bound=params.min_usage,
            message=f"training items use {usage:.1%} of the first-level codes, expected at least "
            f"{params.min_usage:.1%}; use a smaller codebook_size or refit",
        ),
        GateResult(
            name="collision_not_above_rq_kmeans",
            passed=gain <= params.max_collision_gain,
            value=gain,
            bound=params.max_collision_gain,
            message=f"collision over {items.table.num_rows} items is {gain:+.2%} from RQ-KMeans, "
            f"expected at most {params.max_collision_gain:+.2%}; refit without a champion, or use "
            "kind: rq_kmeans",
        ),
        GateResult(
            name="no_nan",
            passed=num_bad == 0,
            value=float(num_bad),
            bound=0.0,
            message=f"{num_bad} numbers in codebooks and reconstructions are not finite; lower "
            "learning_rate",
        ),
    )


def _metrics(
    quality: Mapping[str, Mapping[str, CodebookQuality]],
    ours: _Encoding,
    fit: FitReport,
    business: float | None,
) -> dict[str, float]:
    """Choose the numbers that are worth comparing between runs."""
    metrics = {
        "best_epoch": float(fit.best_epoch),
        "stored_ids_reproduced_share": ours.reproduced_share,
    }
    for tokenizer, parts in quality.items():
        for part, values in parts.items():
            prefix = f"{tokenizer}/{part}"
            metrics[f"{prefix}/num_items"] = float(values.num_items)
            metrics[f"{prefix}/collision"] = values.collision
            metrics[f"{prefix}/cur_level_1"] = values.usage[0]
            metrics[f"{prefix}/reconstruction_mse"] = values.reconstruction_mse
            if values.pas_macro is not None:
                metrics[f"{prefix}/pas_macro"] = values.pas_macro
    if business is not None:
        metrics["tokenizer/ads/business_collision"] = business
    return metrics


def _write_report(
    folder: Path,
    fit: FitReport,
    quality: Mapping[str, Mapping[str, CodebookQuality]],
    business: float | None,
    version: str,
) -> None:
    """Write the codebook report."""
    report: dict[str, Any] = {
        tokenizer: {part: values.to_json() for part, values in parts.items()}
        for tokenizer, parts in quality.items()
    }
    report |= {
        "tokenizer_version": version,
        "best_epoch": fit.best_epoch,
        "curve": [epoch._asdict() for epoch in fit.curve],
        "business_collision": business,
    }
    write_json(folder / "quality.json", report)


def _write_curve(path: Path, curve: tuple[Epoch, ...]) -> None:
    """Write the training curve for DVC plots; only a header where nothing was trained."""
    lines = [",".join(Epoch._fields), *(",".join(map(str, epoch)) for epoch in curve)]
    write_text(path, "\n".join(lines) + "\n")
