"""The item sets of the Table 1 study: a synthetic world, real texts, real sequences.

All of them go through the curation of the pipeline: near-duplicate clusters, the 80/20 split that
keeps clusters whole, category weights, and fusion with statistics of the training split.

Letters: M items, D width.
"""

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.data.config import CurationConfig
from gpr_core.data.days import parse_day
from gpr_core.data.item_sample import build_item_sample
from gpr_core.data.lake import Lake
from gpr_core.data.splits import Split
from gpr_core.embeddings.columns import roles_by_type
from gpr_core.embeddings.item_encoder import ItemVectors, fit_item_encoder
from gpr_core.embeddings.raw_items import RawItems, items_of_table, read_raw_table
from gpr_core.sequential.semantic_ids import cooccurrence_vectors
from gpr_core.sequential.sequences import read_sequences
from gpr_core.support.errors import ContractError
from gpr_core.support.progress import Progress
from gpr_core.tokenizer.protocol import ItemSample
from gpr_core.world.config import world_preset
from gpr_core.world.generate import fill_world

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_DIM = 64


class StudyItems(NamedTuple):
    """One item set, curated.

    Attributes:
        x_MD: [M, D] float32, rows of length 1.
        split_M: [M] int8 `Split`.
        is_canonical_M: [M] bool, False for near duplicates.
        weight_M: [M] float32.
        labels: Label name -> [M] int64 known classes.
    """

    x_MD: Floats
    split_M: npt.NDArray[np.int8]
    is_canonical_M: npt.NDArray[np.bool_]
    weight_M: Floats
    labels: Mapping[str, Ints]

    def sample(self, split: Split) -> ItemSample:
        """Take the canonical items of one split.

        Args:
            split: The split.

        Returns:
            Their vectors and weights.
        """
        rows = np.flatnonzero((self.split_M == split) & self.is_canonical_M)
        return ItemSample(self.x_MD[rows], self.weight_M[rows])


ItemSource = Callable[[int], StudyItems]


def world_items(seed: int) -> StudyItems:
    """Take the catalog of one synthetic world of the preset `small`.

    Args:
        seed: Seed of world, split and weights.

    Returns:
        Its ads and content; nobody's behavior matters here, so few people live in it.
    """
    config = replace(world_preset("small"), seed=20260101 + seed, num_users=60)
    day = parse_day(config.first_day)
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        fill_world(config, lake, Path(folder) / "oracle", day, Progress("world"))
        tables = {name: lake.read(name, day, day) for name in ("ads", "content", "embeddings")}
    labels = {
        name: np.concatenate([tables[kind][name].to_numpy() for kind in ("ads", "content")])
        for name in ("cat_l1", "cat_l2")
    }
    return _curate(tables, labels, seed)


def industrial_items(folder: Path, seed: int) -> StudyItems:
    """Take the real texts of Amazon Industrial and Scientific.

    Args:
        folder: Folder with `industrial_items.jsonl.gz`.
        seed: Seed of split and weights.

    Returns:
        Items with vectors of hashed n-grams of title, description and brand; the label is the
        brand.
    """
    table = read_raw_table(folder / "industrial_items.jsonl.gz")
    table = table.select(["item_id", "title", "description", "brand"])
    items = items_of_table(table, roles_by_type(table), where=str(folder))
    encoded = _encode(items, table)
    # 1,352 brands are too many strata for a split; nothing coarser is known of these items.
    one_category_M = np.zeros(len(items), dtype=np.int64)
    tables = _tables(encoded.text_ND, encoded.image_ND, one_category_M)
    return _curate(tables, {"brand": _numbers_of(items.brands)}, seed)


def beauty_items(folder: Path, seed: int) -> StudyItems:
    """Take Amazon Beauty: names of categories and brands, and who is bought after whom.

    Args:
        folder: Folder with `beauty_items.jsonl` and `Beauty.txt`.
        seed: Seed of split and weights.

    Returns:
        Items whose text vector comes from their attribute names and whose second vector comes from
        co-occurrence in training sequences. Labels: their commonest and their rarest attribute.
    """
    lines = (folder / "beauty_items.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    names = [list(map(str, row["attributes"])) or ["unknown"] for row in rows]
    table = pa.table({"item_id": [str(row["item_id"]) for row in rows]})
    table = table.append_column("title", [[" ".join(entries) for entries in names]])
    encoded = _encode(items_of_table(table, roles_by_type(table), where=str(folder)), table)
    sequences = read_sequences(folder / "Beauty.txt")
    if sequences.item_ids_A.tolist() != [row["item_id"] for row in rows]:
        raise ContractError("the items are not those of Beauty.txt, in order", where=str(folder))
    count = Counter(name for entries in names for name in entries)
    labels = {
        "common_attribute": _numbers_of([max(entries, key=count.__getitem__) for entries in names]),
        "rare_attribute": _numbers_of([min(entries, key=count.__getitem__) for entries in names]),
    }
    together_MD = cooccurrence_vectors(sequences.train, len(rows))
    tables = _tables(encoded.text_ND, together_MD, labels["common_attribute"])
    return _curate(tables, labels, seed)


def _encode(items: RawItems, table: pa.Table) -> ItemVectors:
    """Encode texts with the default encoder, which sees all items as a pre-trained one would."""
    roles = roles_by_type(table)
    return fit_item_encoder(items, roles, "hashed", _DIM, Progress("table1"))[1]


def _numbers_of(names: Sequence[str]) -> Ints:
    """Number the distinct names."""
    return np.asarray(np.unique(np.array(names), return_inverse=True)[1], dtype=np.int64)


def _tables(text_MD: Floats, image_MD: Floats, category_M: Ints) -> dict[str, pa.Table]:
    """Lay items out as the ads and embeddings of a lake."""
    key_M = np.arange(1, len(text_MD) + 1)
    ads = {
        "ad_key": key_M.astype(np.uint64),
        "launch_ts": np.zeros(key_M.size, dtype=np.int64),
        "cat_l1": category_M,
        "content_hash": key_M.astype(np.uint64),
        "emb_row": key_M,
    }
    content = {"content_key": "ad_key", "publish_ts": "launch_ts"}
    empty = {content_name: ads[name][:0] for content_name, name in content.items()}
    empty |= {name: ads[name][:0] for name in ("cat_l1", "content_hash", "emb_row")}
    embeddings = {
        "emb_row": key_M,
        "x_text": list(text_MD),
        "x_img": list(image_MD),
        "encoder_version": ["study"] * key_M.size,
    }
    parts = {"ads": ads, "content": empty, "embeddings": embeddings}
    return {name: pa.table(columns) for name, columns in parts.items()}


def _curate(tables: Mapping[str, pa.Table], labels: Mapping[str, Ints], seed: int) -> StudyItems:
    """Cluster, split, weigh and fuse as the pipeline does."""
    found = build_item_sample(tables, CurationConfig(), seed=seed)
    return StudyItems(
        x_MD=np.stack(found.vectors["x"].to_numpy()).astype(np.float32),
        split_M=found.sample["split"].to_numpy(),
        is_canonical_M=found.sample["is_canonical"].to_numpy(zero_copy_only=False).astype(bool),
        weight_M=found.sample["weight"].to_numpy(),
        labels=labels,
    )
