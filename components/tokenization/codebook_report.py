"""The codebook report: how good the ids of the day are, beside RQ-KMeans on the same items."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.tokenization.encoding import Encoding
from components.tokenization.items import HELD_OUT, TRAIN, VALIDATION, Items
from gpr_core.data.tables import ItemKind
from gpr_core.support.files import write_json, write_text
from gpr_core.tokenizer.leaf_report import ReadableItems, code_tree, largest_leaves
from gpr_core.tokenizer.protocol import Epoch, FitReport
from gpr_core.tokenizer.quality import CodebookQuality, codebook_quality, path_ids
from gpr_core.tokenizer.sid_map import codes_of, stored_rows
from gpr_core.tokenizer.title_words import title_words

_SPLITS = {"train": TRAIN, "validation": VALIDATION, "held_out": HELD_OUT}
_MAX_LEAVES = 20
_MAX_CODES = (40, 12)


def quality_by_split(items: Items, encoding: Encoding) -> dict[str, CodebookQuality]:
    """Measure on each split and on all items.

    Args:
        items: The items, their splits and labels.
        encoding: Their codes.

    Returns:
        `train`, `validation`, `held_out`, `all` -> measures; a split without items is left out.
    """
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


def business_kinds(
    sid_map: pa.Table, ads: pa.Table, ad_versions: pa.Table
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give path and (advertiser, latest bid type) of every ad, both as numbers.

    Args:
        sid_map: Ids of all items.
        ads: Lake table `ads`.
        ad_versions: Lake table `ad_versions`.

    Returns:
        ([A] path, [A] business kind), both dense int64.
    """
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


def describe_codes(corpus: Path, items: Items, encoding: Encoding) -> dict[str, Any]:
    """Say how much is where, in words of the titles.

    Args:
        corpus: The artifact `corpus`, for the titles.
        items: The items.
        encoding: Their codes.

    Returns:
        JSON values: `code_counts`, items per code, one list per level; `code_tree`, the largest
        codes of the first level, each with its largest codes of the second; `largest_leaves`.
    """
    titles = _titles(corpus, items.table)
    is_ad_M = items.table.column("item_kind").to_numpy() == ItemKind.AD
    words = title_words(titles)
    readable = ReadableItems(
        is_ad_M=is_ad_M, category_M=items.labels["cat_l1"], titles=titles, words=words
    )
    leaves = largest_leaves(items.x_MD, encoding.code_ML, readable, limit=_MAX_LEAVES)
    tree = code_tree(encoding.code_ML, is_ad_M, words, limits=_MAX_CODES)
    return {
        "code_counts": [
            np.bincount(code_M, minlength=size).tolist()
            for code_M, size in zip(encoding.code_ML.T, encoding.codebook_sizes, strict=True)
        ],
        "code_tree": [node.to_json() for node in tree],
        "largest_leaves": [leaf.to_json() for leaf in leaves],
    }


def report_metrics(
    quality: Mapping[str, Mapping[str, CodebookQuality]],
    ours: Encoding,
    fit: FitReport,
    business: float | None,
) -> dict[str, float]:
    """Choose the numbers that are worth comparing between runs.

    Args:
        quality: Tokenizer -> split -> measures.
        ours: Encoding of the day's tokenizer.
        fit: How its fit went.
        business: Business collision of ads, None if no ads collide.

    Returns:
        Flat metrics.
    """
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


def write_report(
    folder: Path,
    fit: FitReport,
    quality: Mapping[str, Mapping[str, CodebookQuality]],
    business: float | None,
    description: Mapping[str, Any],
    version: str,
) -> None:
    """Write the codebook report.

    Args:
        folder: Folder of the tokenizer.
        fit: How its fit went.
        quality: Tokenizer -> split -> measures.
        business: Business collision of ads, None if no ads collide.
        description: From `describe_codes`.
        version: Version of the tokenizer.
    """
    report: dict[str, Any] = {
        tokenizer: {part: values.to_json() for part, values in parts.items()}
        for tokenizer, parts in quality.items()
    }
    report |= {
        "tokenizer_version": version,
        "best_epoch": fit.best_epoch,
        "curve": [epoch._asdict() for epoch in fit.curve],
        "business_collision": business,
        **description,
    }
    write_json(folder / "quality.json", report)


def write_curve(path: Path, curve: tuple[Epoch, ...]) -> None:
    """Write the training curve for DVC plots; only a header where nothing was trained.

    Args:
        path: The CSV file.
        curve: The curve.
    """
    lines = [",".join(Epoch._fields), *(",".join(map(str, epoch)) for epoch in curve)]
    write_text(path, "\n".join(lines) + "\n")


def _titles(corpus: Path, items: pa.Table) -> list[str]:
    """Read the titles of the items; an item without a row or a title has an empty one."""
    parts = []
    for file, kind, key in (
        ("ads", ItemKind.AD, "ad_key"),
        ("content", ItemKind.CONTENT, "content_key"),
    ):
        rows = pq.read_table(corpus / f"{file}.parquet", columns=[key, "title"])
        kind_M = np.full(rows.num_rows, int(kind), dtype=np.int8)
        parts.append(pa.table({"item_kind": kind_M, "item_key": rows[key], "title": rows["title"]}))
    known = pa.concat_tables(parts)
    titles = [title or "" for title in known["title"].to_pylist()]
    return [titles[row] if row >= 0 else "" for row in stored_rows(known, items)]
