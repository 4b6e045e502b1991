"""Catalogs on disk.

index.safetensors     arrays of the trie
ads.parquet           ads in rank order
ad_versions.parquet   their versions, by rank and time
catalog.json          version (hash of the files above), tokenizer version, number of ads;
                      written last
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.trie import Trie
from gpr_core.catalog.trie_file import INDEX_FILE, load_trie, save_trie
from gpr_core.data.tables import ItemKind
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_file, hash_value
from gpr_core.tokenizer.sid_map import codes_of

_ADS, _VERSIONS, _META = "ads.parquet", "ad_versions.parquet", "catalog.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """One catalog version.

    Attributes:
        version: Hash of its content.
        tokenizer_version: Version of the tokenizer that made the paths.
        trie: Tree over the paths of all ads.
        ads: Attributes and versions in the tree's rank order.
    """

    version: str
    tokenizer_version: str
    trie: Trie
    ads: AdTable


def save_catalog(
    folder: Path,
    sid_map: pa.Table,
    ads: pa.Table,
    ad_versions: pa.Table,
    *,
    codebook_sizes: Sequence[int],
    tokenizer_version: str,
) -> str:
    """Build and write the catalog of all ads that have a semantic id.

    Args:
        folder: Existing or new folder.
        sid_map: Semantic ids of ads and content.
        ads: Lake table `ads`.
        ad_versions: Lake table `ad_versions`.
        codebook_sizes: Codes per level.
        tokenizer_version: Version of the tokenizer that made the ids.

    Returns:
        Version of the catalog, 64 hex digits.

    Raises:
        ArtifactError: If an ad with an id has no row or no version.
    """
    is_ad = sid_map.column("item_kind").to_numpy() == ItemKind.AD
    ad_ids = sid_map.filter(pa.array(is_ad))
    keys = ad_ids.column("item_key").to_numpy()
    trie = Trie.build(codes_of(ad_ids), keys, codebook_sizes)
    AdTable.build(ads, ad_versions, trie)
    save_trie(trie, folder)
    pq.write_table(_in_rank_order(ads, trie), folder / _ADS, compression="zstd")
    versions = _in_rank_order(ad_versions, trie)
    pq.write_table(versions, folder / _VERSIONS, compression="zstd")
    version = _version(folder, tokenizer_version)
    meta = {
        "version": version,
        "tokenizer_version": tokenizer_version,
        "num_ads": trie.num_ads,
    }
    write_json(folder / _META, meta)
    return version


def load_catalog(folder: Path, *, tokenizer_version: str | None = None) -> Catalog:
    """Read a catalog and check that it is the one it claims to be.

    Args:
        folder: Folder that `save_catalog` wrote.
        tokenizer_version: Version that the paths must be of; None accepts any.

    Returns:
        The catalog.

    Raises:
        ArtifactError: If a file is missing or changed, or the paths are of another tokenizer.
    """
    for name in (_META, INDEX_FILE, _ADS, _VERSIONS):
        if not (folder / name).exists():
            raise ArtifactError(
                f"{name} is missing", where=str(folder), fix="run the step tokenization"
            )
    meta = read_json(folder / _META)
    if _version(folder, meta["tokenizer_version"]) != meta["version"]:
        raise ArtifactError(
            "catalog is corrupt: its files differ from the version in catalog.json",
            where=str(folder),
            fix="restore the folder, or run the step tokenization",
        )
    if tokenizer_version is not None and tokenizer_version != meta["tokenizer_version"]:
        raise ArtifactError(
            f"catalog is of tokenizer {meta['tokenizer_version']}, expected {tokenizer_version}",
            where=str(folder),
            fix="use catalog, model and tokenizer of one run",
        )
    trie = load_trie(folder)
    ads = AdTable.build(pq.read_table(folder / _ADS), pq.read_table(folder / _VERSIONS), trie)
    return Catalog(
        version=meta["version"],
        tokenizer_version=meta["tokenizer_version"],
        trie=trie,
        ads=ads,
    )


def _in_rank_order(table: pa.Table, trie: Trie) -> pa.Table:
    """Sort the rows of a table by the rank of their ad, then time; drop ads without a rank."""
    rank = trie.rank_of_ads(table.column("ad_key").to_numpy().astype(np.int64)).numpy()
    has_time = "valid_from" in table.column_names
    time = table.column("valid_from").to_numpy() if has_time else np.zeros(rank.size)
    order = np.lexsort((time, rank))
    return table.take(order[rank[order] >= 0])


def _version(folder: Path, tokenizer_version: str) -> str:
    """Hash the files and the tokenizer version."""
    hashes = {name: hash_file(folder / name) for name in (INDEX_FILE, _ADS, _VERSIONS)}
    return hash_value({"files": hashes, "tokenizer_version": tokenizer_version})
