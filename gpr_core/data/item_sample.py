"""Item vectors, near-duplicate clusters and the tokenizer split, which depend on one another.

The vectors are centered with the mean of the training split; the split keeps clusters whole; the
clusters are made of similar vectors. The circle is closed by starting from the mean of all items
and adding every similar pair that crosses the split until none is left. Where codebooks are kept
from an earlier day, so are its statistics: a vector must not move under a frozen codebook.

Letters: N items, D width.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.data.config import CurationConfig
from gpr_core.data.fusion import FusionStats, check_encoder, concat_embeddings, fit_fusion, fuse
from gpr_core.data.near_duplicates import (
    cluster_pairs,
    equal_pairs,
    max_cosine_across,
    similar_pairs,
)
from gpr_core.data.splits import Split, balance_weights, split_clusters
from gpr_core.data.tables import ItemKind
from gpr_core.support.errors import ContractError

ITEM_VECTORS_SCHEMA = pa.schema(
    [
        pa.field("item_kind", pa.int8(), nullable=False),
        pa.field("item_key", pa.uint64(), nullable=False),
        pa.field("emb_row", pa.int64(), nullable=False),
        pa.field("x", pa.list_(pa.float32()), nullable=False),
    ]
)
TOKENIZER_SAMPLE_SCHEMA = pa.schema(
    [
        pa.field("item_kind", pa.int8(), nullable=False),
        pa.field("item_key", pa.uint64(), nullable=False),
        pa.field("cluster", pa.int64(), nullable=False),
        pa.field("split", pa.int8(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("is_canonical", pa.bool_(), nullable=False),
    ]
)

_CATEGORIES_PER_KIND = 1 << 16


class ItemSample(NamedTuple):
    """All items, ads first, each kind by key.

    Attributes:
        vectors: `ITEM_VECTORS_SCHEMA`.
        sample: `TOKENIZER_SAMPLE_SCHEMA`, rows as in `vectors`.
        stats: Statistics of the training split, or the ones that were kept.
        category_N: [N] int64, first-level category.
        max_cross_cosine: Largest cosine of two items of different splits.
    """

    vectors: pa.Table
    sample: pa.Table
    stats: FusionStats
    category_N: npt.NDArray[np.int64]
    max_cross_cosine: float


class _Items(NamedTuple):
    """Columns of all items."""

    kind: npt.NDArray[np.int8]
    key: npt.NDArray[np.uint64]
    category: npt.NDArray[np.int64]
    born_ts: npt.NDArray[np.int64]
    content_hash: npt.NDArray[np.uint64]
    emb_row: npt.NDArray[np.int64]


class _Grouping(NamedTuple):
    """Clusters and what follows from them."""

    cluster: npt.NDArray[np.int64]
    canonical: npt.NDArray[np.int64]
    split: npt.NDArray[np.int8]
    stats: FusionStats
    x: npt.NDArray[np.float32]


def build_item_sample(
    canonical: Mapping[str, pa.Table],
    config: CurationConfig,
    *,
    seed: int,
    kept: FusionStats | None = None,
) -> ItemSample:
    """Fuse all items, find near duplicates, split them and weigh their categories.

    Args:
        canonical: Tables ads, content and embeddings of `canonical_tables`.
        config: Thresholds and shares.
        seed: Run seed.
        kept: Statistics of the codebooks that are kept; None fits new ones.

    Returns:
        The sample.

    Raises:
        ContractError: If there are no items, or an item has no embedding or one of another
            encoder than the kept statistics.
        ShapeError: If the embeddings are not as wide as the kept statistics.
    """
    items = _all_items(canonical)
    if kept is not None:
        check_encoder(canonical["embeddings"], kept)
    raw_ND = concat_embeddings(canonical["embeddings"], items.emb_row)
    group = _group(items, raw_ND, canonical["embeddings"], config, seed, kept)
    is_canonical_N = np.zeros(items.key.size, dtype=np.bool_)
    is_canonical_N[group.canonical] = True
    weight_N = balance_weights(
        items.category,
        is_canonical_N & (group.split == Split.TRAIN),
        exponent=config.balance_exponent,
        cap=config.balance_cap,
    )
    width = group.x.shape[1]
    offsets = np.arange(items.key.size + 1, dtype=np.int32) * width
    x_lists = pa.ListArray.from_arrays(offsets, group.x.reshape(-1))
    return ItemSample(
        vectors=pa.table([items.kind, items.key, items.emb_row, x_lists], ITEM_VECTORS_SCHEMA),
        sample=pa.table(
            [items.kind, items.key, group.cluster, group.split, weight_N, is_canonical_N],
            TOKENIZER_SAMPLE_SCHEMA,
        ),
        stats=group.stats,
        category_N=items.category,
        max_cross_cosine=max_cosine_across(group.x, group.split),
    )


def _group(
    items: _Items,
    raw_ND: npt.NDArray[np.float32],
    embeddings: pa.Table,
    config: CurationConfig,
    seed: int,
    kept: FusionStats | None,
) -> _Grouping:
    """Close the circle of clusters, split and vectors; each round joins clusters, so it ends."""
    age_order = np.lexsort((items.key, items.kind, items.born_ts))
    start_ND = fuse(raw_ND, kept or fit_fusion(raw_ND, embeddings))
    pairs = np.concatenate(
        [equal_pairs(items.content_hash), similar_pairs(start_ND, config.near_duplicate_cosine)]
    )
    while True:
        cluster_N, canonical_C = cluster_pairs(pairs, age_order)
        stratum_N = items.kind.astype(np.int64) * _CATEGORIES_PER_KIND + items.category
        split_C = split_clusters(
            stratum_N[canonical_C],
            items.key[canonical_C],
            held_out_share=config.held_out_share,
            inner_validation_share=config.inner_validation_share,
            seed=seed,
        )
        split_N = split_C[cluster_N]
        stats = kept or fit_fusion(raw_ND[split_N == Split.TRAIN], embeddings)
        x_ND = fuse(raw_ND, stats)
        similar = similar_pairs(x_ND, config.near_duplicate_cosine)
        crosses = split_N[similar[:, 0]] != split_N[similar[:, 1]]
        if not crosses.any():
            return _Grouping(cluster_N, canonical_C, split_N, stats, x_ND)
        pairs = np.concatenate([pairs, similar[crosses]])


def _all_items(canonical: Mapping[str, pa.Table]) -> _Items:
    """Put ads and content under common column names."""
    ads, content = canonical["ads"], canonical["content"]
    if ads.num_rows == 0:
        raise ContractError(
            "there are no ads", where="ads", fix="fill the lake up to the training day"
        )

    def both(ad_column: str, content_column: str) -> npt.NDArray[np.generic]:
        return np.concatenate([ads[ad_column].to_numpy(), content[content_column].to_numpy()])

    kinds = np.array([ItemKind.AD, ItemKind.CONTENT], dtype=np.int8)
    return _Items(
        kind=np.repeat(kinds, [ads.num_rows, content.num_rows]),
        key=both("ad_key", "content_key").astype(np.uint64),
        category=both("cat_l1", "cat_l1").astype(np.int64),
        born_ts=both("launch_ts", "publish_ts").astype(np.int64),
        content_hash=both("content_hash", "content_hash").astype(np.uint64),
        emb_row=both("emb_row", "emb_row").astype(np.int64),
    )
