"""One vector per item from its text and image embeddings.

Letters: N items, D width (text and image widths added up).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.shapes import check_shape

Floats = npt.NDArray[np.float32]

_FILE_VERSION = 1
_MIN_NORM = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FusionStats:
    """What was fitted on the tokenizer-train split; new items are fused with the same numbers.

    Attributes:
        mean_D: [D] float64, mean of the concatenated embeddings.
        text_dim: Width of the text part.
        image_dim: Width of the image part.
        encoder_version: Encoder that made the embeddings; others are refused.
    """

    mean_D: npt.NDArray[np.float64]
    text_dim: int
    image_dim: int
    encoder_version: str

    def save(self, path: Path) -> None:
        """Write the statistics as JSON.

        Args:
            path: The file.
        """
        values = {
            "version": _FILE_VERSION,
            "mean": self.mean_D.tolist(),
            "text_dim": self.text_dim,
            "image_dim": self.image_dim,
            "encoder_version": self.encoder_version,
        }
        write_json(path, values)

    @classmethod
    def load(cls, path: Path) -> "FusionStats":
        """Read statistics back.

        Args:
            path: The file.

        Returns:
            The statistics that were saved.

        Raises:
            ArtifactError: If the file is not of this version.
        """
        values: dict[str, Any] = read_json(path)
        if values.get("version") != _FILE_VERSION:
            raise ArtifactError(
                f"embedding statistics have version {values.get('version')}, "
                f"expected {_FILE_VERSION}",
                where=str(path),
                fix="run corpus_curation again",
            )
        return cls(
            mean_D=np.array(values["mean"], dtype=np.float64),
            text_dim=values["text_dim"],
            image_dim=values["image_dim"],
            encoder_version=values["encoder_version"],
        )


def concat_embeddings(embeddings: pa.Table, emb_rows_N: npt.NDArray[np.int64]) -> Floats:
    """Put the text and image embeddings of items side by side.

    Args:
        embeddings: Lake table `embeddings`, one row per `emb_row`.
        emb_rows_N: [N] int64, row of each item.

    Returns:
        [N, D] float32.

    Raises:
        ContractError: If an item has no embedding, or widths differ inside a column.
    """
    known = embeddings["emb_row"].to_numpy()
    order = np.argsort(known, kind="stable")
    if known.size == 0:
        found_N = np.full(emb_rows_N.size, -1)
    else:
        at_N = np.minimum(np.searchsorted(known, emb_rows_N, sorter=order), known.size - 1)
        found_N = np.where(known[order[at_N]] == emb_rows_N, order[at_N], -1)
    if (found_N < 0).any():
        raise ContractError(
            f"{int((found_N < 0).sum())} of {emb_rows_N.size} items have no embedding, "
            f"first emb_row {int(emb_rows_N[found_N < 0][0])}",
            where="embeddings",
            fix="land the embedding of an item on or before the day of the item",
        )
    parts = [_matrix(embeddings[name], name)[found_N] for name in ("x_text", "x_img")]
    return np.concatenate(parts, axis=1)


def fit_fusion(raw_ND: Floats, embeddings: pa.Table) -> FusionStats:
    """Fit the statistics.

    Args:
        raw_ND: [N, D] float32, concatenated embeddings of the training items.
        embeddings: Lake table `embeddings`, for the widths and the encoder.

    Returns:
        The statistics.

    Raises:
        ContractError: If there are no items, or the embeddings come from several encoders.
    """
    versions = sorted(set(embeddings["encoder_version"].to_pylist()))
    if len(versions) != 1 or len(raw_ND) == 0:
        raise ContractError(
            f"{len(raw_ND)} training items with encoder versions {versions}, "
            "expected items of one encoder",
            where="embeddings",
            fix="encode all items with one encoder, and keep at least one item for training",
        )
    text_dim = len(embeddings["x_text"][0])
    return FusionStats(
        mean_D=raw_ND.mean(axis=0, dtype=np.float64),
        text_dim=text_dim,
        image_dim=raw_ND.shape[1] - text_dim,
        encoder_version=versions[0],
    )


def fuse(raw_ND: Floats, stats: FusionStats) -> Floats:
    """Center and normalize concatenated embeddings.

    Args:
        raw_ND: [N, D] float32 of `concat_embeddings`.
        stats: Fitted statistics.

    Returns:
        [N, D] float32, rows of length 1; an item that equals the mean is all zeros.

    Raises:
        ShapeError: If D differs from the statistics.
    """
    check_shape("raw_ND", raw_ND, (None, stats.mean_D.size))
    centered_ND = raw_ND - stats.mean_D
    norm_N = np.linalg.norm(centered_ND, axis=1, keepdims=True)
    unit_ND: Floats = (centered_ND / np.maximum(norm_N, _MIN_NORM)).astype(np.float32)
    return unit_ND


def fuse_items(
    embeddings: pa.Table, emb_rows_N: npt.NDArray[np.int64], stats: FusionStats
) -> Floats:
    """Fuse items that were not there when the statistics were fitted.

    Args:
        embeddings: Lake table `embeddings`.
        emb_rows_N: [N] int64, row of each item.
        stats: Fitted statistics.

    Returns:
        [N, D] float32, rows of length 1.

    Raises:
        ContractError: If an item has no embedding, or one of another encoder.
        ShapeError: If the width differs from the statistics.
    """
    check_encoder(embeddings, stats)
    return fuse(concat_embeddings(embeddings, emb_rows_N), stats)


def check_encoder(embeddings: pa.Table, stats: FusionStats) -> None:
    """Refuse embeddings that the statistics say nothing about.

    Args:
        embeddings: Lake table `embeddings`.
        stats: Fitted statistics.

    Raises:
        ContractError: If an embedding comes from another encoder.
    """
    versions = set(embeddings["encoder_version"].to_pylist()) - {stats.encoder_version}
    if versions:
        raise ContractError(
            f"embeddings of encoder {sorted(versions)} cannot be fused with statistics of "
            f"{stats.encoder_version!r}",
            where="embeddings",
            fix="run the pipeline from corpus_curation on, without a champion",
        )


def _matrix(column: pa.ChunkedArray, name: str) -> Floats:
    """Read a list column of equal lengths as a matrix."""
    lists = column.combine_chunks()
    lengths = np.diff(lists.offsets.to_numpy())
    if lengths.size and (lengths != lengths[0]).any():
        raise ContractError(
            f"{name} has lists of {lengths.min()} to {lengths.max()} numbers, expected one length",
            where=f"embeddings.{name}",
            fix="land embeddings of one encoder",
        )
    width = int(lengths[0]) if lengths.size else 0
    values = np.asarray(lists.flatten(), dtype=np.float32)
    return values.reshape(lengths.size, width)
