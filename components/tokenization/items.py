"""The items of a corpus: vectors, split and labels, in one order.

Letters: M items, D width.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from gpr_core.data.tables import ItemKind
from gpr_core.support.errors import ContractError
from gpr_core.tokenizer.protocol import ItemSample
from gpr_core.tokenizer.residual import Floats, check_finite
from gpr_core.tokenizer.sid_map import stored_rows

TRAIN, VALIDATION, HELD_OUT = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Items:
    """All items that have a vector.

    Attributes:
        table: Columns item_kind, item_key.
        x_MD: [M, D] float32.
        split_M: [M] int8: 0 train, 1 inner validation, 2 held out, -1 not sampled.
        is_canonical_M: [M] bool, False for near duplicates, which no tokenizer learns from.
        weight_M: [M] float32, for the balance of categories.
        born_ts_M: [M] int64 epoch ms, launch of an ad or publication of content.
        labels: `cat_l1`, `cat_l2` -> [M] int64, -1 unknown.
        num_expected: Ads and pieces of content in the corpus.
        num_known: How many of them have a vector.
    """

    table: pa.Table
    x_MD: Floats
    split_M: npt.NDArray[np.int8]
    is_canonical_M: npt.NDArray[np.bool_]
    weight_M: Floats
    born_ts_M: npt.NDArray[np.int64]
    labels: Mapping[str, npt.NDArray[np.int64]]
    num_expected: int
    num_known: int

    def sample(self, split: int) -> ItemSample:
        """Take the canonical items of one split.

        Args:
            split: TRAIN, VALIDATION or HELD_OUT.

        Returns:
            Their vectors and weights.
        """
        rows = np.flatnonzero((self.split_M == split) & self.is_canonical_M)
        return ItemSample(self.x_MD[rows], self.weight_M[rows])


def load_items(corpus: Path) -> Items:
    """Read the items of a corpus.

    Args:
        corpus: The artifact `corpus`.

    Returns:
        The items in the order of item_vectors.parquet.

    Raises:
        ContractError: If vectors differ in width or are not finite, or a sampled item has none.
    """
    vectors = pq.read_table(corpus / "item_vectors.parquet")
    table = vectors.select(["item_kind", "item_key"])
    x_MD = _matrix(vectors.column("x"))
    check_finite(x_MD, "item_vectors.parquet")
    known = _known_items(corpus)
    known_row_M = stored_rows(known, table)
    sample = pq.read_table(corpus / "tokenizer_sample.parquet")
    sample_row_M = stored_rows(sample, table)
    is_sampled_M = sample_row_M >= 0
    if int(is_sampled_M.sum()) != sample.num_rows:
        raise ContractError(
            f"{sample.num_rows - int(is_sampled_M.sum())} of {sample.num_rows} sampled items "
            "have no vector",
            where="tokenizer_sample.parquet",
            fix="curate the corpus again",
        )

    def sampled(name: str, otherwise: float) -> npt.NDArray[np.float64]:
        """Read a column of the sample, with a value for items outside it."""
        values = np.append(sample.column(name).to_numpy().astype(np.float64), otherwise)
        return np.asarray(values[sample_row_M])

    return Items(
        table=table,
        x_MD=x_MD,
        split_M=sampled("split", -1).astype(np.int8),
        is_canonical_M=sampled("is_canonical", 0) > 0,
        weight_M=sampled("weight", 1).astype(np.float32),
        born_ts_M=np.append(known.column("born_ts").to_numpy().astype(np.int64), -1)[known_row_M],
        labels={
            name: np.append(known.column(name).to_numpy().astype(np.int64), -1)[known_row_M]
            for name in ("cat_l1", "cat_l2")
        },
        num_expected=known.num_rows,
        num_known=int(np.unique(known_row_M[known_row_M >= 0]).size),
    )


def ads_of(corpus: Path) -> tuple[pa.Table, pa.Table]:
    """Read the ads, without the titles that are for people only, and their versions.

    Args:
        corpus: The artifact `corpus`.

    Returns:
        (ads, ad_versions).
    """
    ads = pq.read_table(corpus / "ads.parquet")
    return ads.drop_columns(["title"]), pq.read_table(corpus / "ad_versions.parquet")


def _known_items(corpus: Path) -> pa.Table:
    """List all ads and content with their categories."""
    parts = []
    for file, kind, key, born in (
        ("ads", ItemKind.AD, "ad_key", "launch_ts"),
        ("content", ItemKind.CONTENT, "content_key", "publish_ts"),
    ):
        rows = pq.read_table(corpus / f"{file}.parquet")
        parts.append(
            pa.table(
                {
                    "item_kind": np.full(rows.num_rows, int(kind), dtype=np.int8),
                    "item_key": rows.column(key),
                    "born_ts": rows.column(born),
                    "cat_l1": rows.column("cat_l1"),
                    "cat_l2": rows.column("cat_l2"),
                }
            )
        )
    return pa.concat_tables(parts)


def _matrix(column: pa.ChunkedArray) -> Floats:
    """Turn a list column into a matrix."""
    lists = column.combine_chunks()
    offsets = np.diff(lists.offsets.to_numpy())
    widths = np.unique(offsets)
    if widths.size != 1 or widths[0] == 0 or lists.null_count:
        raise ContractError(
            f"vectors have widths {widths[:5].tolist()} and {lists.null_count} are null, "
            "expected one width > 0",
            where="item_vectors.parquet, column x",
            fix="curate the corpus again",
        )
    flat = np.asarray(lists.flatten().to_numpy(zero_copy_only=False), dtype=np.float32)
    return np.ascontiguousarray(flat.reshape(len(lists), int(widths[0])))
