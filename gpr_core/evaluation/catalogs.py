"""The catalog of the evaluation day: new items are encoded by the frozen tokenizer.

Cold start is measured, not excluded: an ad that launches on the evaluation day has a semantic id
that nothing was trained on. Items that had an id keep it; new ones follow the leaf policy of the
tokenizer.

Letters: M items, L levels of the codebooks, P levels of a path, A ads by rank, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.bundle import Catalog
from gpr_core.catalog.trie import Trie
from gpr_core.data.fusion import FusionStats, fuse_items
from gpr_core.data.tables import ItemKind
from gpr_core.support.hashing import hash_value
from gpr_core.tokenizer.bundle import load_tokenizer, read_version_file
from gpr_core.tokenizer.leaf_policy import LeafRule
from gpr_core.tokenizer.sid_map import build_sid_map, codes_of, paths_of_items, stored_rows

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EvaluationCatalog:
    """All items of the evaluation day under one tokenizer.

    Attributes:
        tokenizer_version: Version of the semantic ids.
        sid_map: Semantic ids of all ads and content.
        catalog: Ads in the rank order of these ids.
        num_new: Items that the tokenizer first saw here.
    """

    tokenizer_version: str
    sid_map: pa.Table
    catalog: Catalog
    num_new: int

    def to_rank_of(self, other: "EvaluationCatalog") -> Ints:
        """Translate ranks into those of a catalog of the same ads under another tokenizer.

        Args:
            other: The other catalog.

        Returns:
            [A] int64, rank in the other catalog of the ad of each rank here.
        """
        return np.asarray(other.catalog.trie.rank_of_ads(self.catalog.trie.ad_key_A).numpy())


def encode_catalog(tokenizer: Path, canonical: Mapping[str, pa.Table]) -> EvaluationCatalog:
    """Encode what is new and build the tree over all ads.

    Args:
        tokenizer: Folder of a tokenizer, with its embedding statistics and semantic ids.
        canonical: Curated tables ads, ad_versions, content and embeddings of all days.

    Returns:
        The catalog.

    Raises:
        ArtifactError: If the tokenizer is missing or damaged.
        ContractError: If a new item has no embedding, or one of another encoder.
        GateError: If a path has outgrown its suffixes.
    """
    version = str(read_version_file(tokenizer)["version"])
    stored = pq.read_table(tokenizer / "sid_map.parquet")
    items, emb_row_M = _all_items(canonical)
    row_M = stored_rows(stored, items)
    new = np.flatnonzero(row_M < 0)
    error_M = np.asarray(stored["quant_err"].to_numpy())[row_M].astype(np.float32)
    model, rule = load_tokenizer(tokenizer, version=version), LeafRule.load(tokenizer)
    code_ML = np.zeros((items.num_rows, len(model.codebooks)), dtype=np.int16)
    if new.size:
        stats = FusionStats.load(tokenizer / "embedding_stats.json")
        x_MD = fuse_items(canonical["embeddings"], emb_row_M[new], stats)
        code_ML[new] = model.encode(x_MD)
        error_M[new] = np.square(x_MD - model.decode(code_ML[new])).sum(1)
    ads = canonical["ads"]
    path_MP = paths_of_items(rule, code_ML, items, ads, stored)
    sid_map = build_sid_map(items, path_MP, error_M, ads, tokenizer_version=version)
    sizes = rule.path_sizes([len(centers_VD) for centers_VD in model.codebooks])
    return EvaluationCatalog(
        tokenizer_version=version,
        sid_map=sid_map,
        catalog=_catalog(sid_map, canonical, sizes, version),
        num_new=int(new.size),
    )


def _all_items(canonical: Mapping[str, pa.Table]) -> tuple[pa.Table, Ints]:
    """List all ads and content, and the row of each item's embedding."""
    parts, rows = [], []
    for name, key, kind in (
        ("ads", "ad_key", ItemKind.AD),
        ("content", "content_key", ItemKind.CONTENT),
    ):
        table = canonical[name]
        kinds = pa.array(np.full(table.num_rows, int(kind), dtype=np.int8))
        parts.append(pa.table({"item_kind": kinds, "item_key": table[key]}))
        rows.append(np.asarray(table["emb_row"].to_numpy()).astype(np.int64))
    return pa.concat_tables(parts).combine_chunks(), np.concatenate(rows)


def _catalog(
    sid_map: pa.Table, canonical: Mapping[str, pa.Table], sizes: tuple[int, ...], version: str
) -> Catalog:
    """Build the tree over all ads."""
    ad_ids = sid_map.filter(pa.array(sid_map["item_kind"].to_numpy() == ItemKind.AD))
    path_AL, key_A = codes_of(ad_ids), ad_ids["item_key"].to_numpy()
    trie = Trie.build(path_AL, key_A, sizes)
    content = {"paths": path_AL.tolist(), "keys": key_A.tolist(), "tokenizer": version}
    return Catalog(
        version=hash_value(content),
        tokenizer_version=version,
        trie=trie,
        ads=AdTable.build(canonical["ads"], canonical["ad_versions"], trie),
    )
