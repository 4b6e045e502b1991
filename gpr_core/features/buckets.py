"""Fitted bucket edges of prices and dwell times, and the fixed ones of ad age and completion.

Bucket 0 is "unknown"; a known value v lies in bucket 1 + the number of edges <= v.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.files import read_json, write_json

# Days since launch; the same octaves as `gpr_core.catalog.ads.ad_age_bucket`.
AD_AGE_EDGES_DAYS = (1, 3, 7, 15, 31, 63)
COMPLETION_EDGES = (0.1, 0.25, 0.5, 0.75, 0.9, 1.0)

_FILE_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """Edges fitted on the training window; the next day reuses them.

    Attributes:
        price_edges: Ascending edges of the price of an impression, micros.
        dwell_edges: Ascending edges of the time spent on organic content, ms.
    """

    price_edges: tuple[int, ...]
    dwell_edges: tuple[int, ...]

    def save(self, path: Path) -> None:
        """Write the edges as JSON.

        Args:
            path: The file.
        """
        edges = {"price_edges": self.price_edges, "dwell_edges": self.dwell_edges}
        write_json(path, {"version": _FILE_VERSION, **edges})

    @classmethod
    def load(cls, path: Path) -> "Buckets":
        """Read edges back.

        Args:
            path: The file.

        Returns:
            The edges that were saved.

        Raises:
            ArtifactError: If the file is not of this version.
        """
        values: dict[str, Any] = read_json(path)
        if values.get("version") != _FILE_VERSION:
            raise ArtifactError(
                f"bucket file has version {values.get('version')}, expected {_FILE_VERSION}",
                where=str(path),
                fix="run corpus_curation again",
            )
        return cls(
            price_edges=tuple(values["price_edges"]), dwell_edges=tuple(values["dwell_edges"])
        )


def fit_buckets(
    price_micros_M: npt.NDArray[np.int64],
    dwell_ms_M: npt.NDArray[np.int64],
    *,
    num_price: int,
    num_dwell: int,
) -> Buckets:
    """Choose edges that fill the buckets evenly.

    Args:
        price_micros_M: [M] int64, prices of the training impressions, micros.
        dwell_ms_M: [M] int64, dwell times of the training events, ms; its own length.
        num_price: Buckets of the price, unknown not counted.
        num_dwell: Buckets of the dwell time, likewise.

    Returns:
        At most `num - 1` edges each; fewer where values repeat.

    Raises:
        ContractError: If there is no impression.
    """
    if price_micros_M.size == 0:
        raise ContractError(
            "no impression to fit price buckets on",
            where="impressions",
            fix="fill the lake up to the training day, or use a longer window",
        )
    return Buckets(
        price_edges=_even_edges(price_micros_M, num_price),
        dwell_edges=_even_edges(dwell_ms_M, num_dwell),
    )


def bucket_of(value: ir.NumericValue, edges: tuple[float, ...]) -> ir.IntegerValue:
    """Express the bucket of a column.

    Args:
        value: The column.
        edges: Ascending edges.

    Returns:
        1 + the number of edges that are not above the value; 0 where the value is null.
    """
    bucket = value.notnull().cast("int16")
    for edge in edges:
        bucket += (value >= edge).fill_null(False).cast("int16")
    return bucket


def _even_edges(values_M: npt.NDArray[np.int64], num_buckets: int) -> tuple[int, ...]:
    """Take evenly spaced order statistics, without the smallest value and without repeats."""
    if values_M.size == 0:
        return ()
    shares = np.arange(1, num_buckets) / num_buckets
    edges = np.unique(np.quantile(values_M, shares, method="inverted_cdf"))
    return tuple(int(edge) for edge in edges if edge > values_M.min())
