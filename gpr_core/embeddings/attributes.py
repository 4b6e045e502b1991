"""Numeric and categorical attributes of items.

A number becomes a point on a half circle, by its rank among the training items: the order is kept,
an outlier is as far as the largest, and every item has the same length. A value of a category
becomes a fixed pattern of signs, its hash: values that nobody has seen have one as well.

Letters: N items, Q knots of a number, M values, S signs of a value, F columns.

Source: own.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array, hstack

from gpr_core.embeddings.features import Tensors
from gpr_core.embeddings.raw_items import RawItems
from gpr_core.support.progress import Progress

Doubles = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]

_QUANTILES = 65
_SIGNS = 64


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scale:
    """Ranks of the values of one number.

    Attributes:
        knot_Q: [Q] float64, distinct quantiles of the training values, ascending.
        place_Q: [Q] float64 in [-1, 1], where each of them lies.
    """

    knot_Q: Doubles
    place_Q: Doubles


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AttributeFeatures:
    """Three columns a number (sine, cosine, missing), then the signs of all categories.

    Attributes:
        scales: Numeric column -> its ranks; a column that was never filled is not in it.
        value_M: [M] uint64, hashes of the known values, ascending.
        weight_M: [M] float64 in [0, 1): rare values say more than common ones.
    """

    scales: Mapping[str, Scale]
    value_M: Hashes
    weight_M: Doubles

    @classmethod
    def fit(cls, items: RawItems, progress: Progress) -> tuple[Self, csr_array]:
        """Learn ranks of numbers and how rare values are.

        Args:
            items: Training items.
            progress: Where to report.

        Returns:
            The features and the [N, F] rows of the training items.
        """
        filled = {
            name: value_N[~np.isnan(value_N)]
            for name, value_N in items.numeric.items()
            if not np.isnan(value_N).all()
        }
        value_M, count_M = np.unique(_hash_values(items).data, return_counts=True)
        # 1 for a value seen never, falling to 0 for one that every item has.
        weight_M = 1.0 - np.log1p(count_M) / np.log1p(len(items))
        features = cls(
            scales={name: _fit_scale(value_N) for name, value_N in filled.items()},
            value_M=value_M,
            weight_M=weight_M,
        )
        return features, features.rows(items, progress)

    def rows(self, items: RawItems, progress: Progress) -> csr_array:
        """Describe items; see `Features`.

        Args:
            items: Training or new items.
            progress: Not used, attributes are quick.

        Returns:
            [N, F] float32.
        """
        del progress
        numbers = [_on_circle(items.numeric[name], scale) for name, scale in self.scales.items()]
        return hstack([*numbers, self._signs(items)], format="csr", dtype=np.float32)

    def tensors(self) -> Tensors:
        """Give the arrays; see `Features`.

        Returns:
            Values and weights of categories; knots and places by number of the column.
        """
        named: dict[str, npt.NDArray[np.generic]] = {
            "value": self.value_M,
            "weight": self.weight_M,
        }
        for number, scale in enumerate(self.scales.values()):
            named[f"knot{number}"] = scale.knot_Q
            named[f"place{number}"] = scale.place_Q
        return named

    def settings(self) -> dict[str, Any]:
        """Give the plain values; see `Features`.

        Returns:
            Kind and the names of the numbers.
        """
        return {"kind": "attributes", "numeric": list(self.scales)}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], tensors: Tensors) -> Self:
        """Make the features again; see `Features`.

        Args:
            settings: What `settings` gave.
            tensors: What `tensors` gave.

        Returns:
            Equal features.
        """
        scales = {
            name: Scale(
                knot_Q=tensors[f"knot{number}"],  # type: ignore[arg-type]
                place_Q=tensors[f"place{number}"],  # type: ignore[arg-type]
            )
            for number, name in enumerate(settings["numeric"])
        }
        return cls(
            scales=scales,
            value_M=tensors["value"],  # type: ignore[arg-type]
            weight_M=tensors["weight"],  # type: ignore[arg-type]
        )

    def _signs(self, items: RawItems) -> csr_array:
        """Add up the sign patterns of the values of each item."""
        hashes = _hash_values(items)
        at = np.searchsorted(self.value_M, hashes.data)
        at = np.minimum(at, max(self.value_M.size - 1, 0))
        is_known = self.value_M[at] == hashes.data if self.value_M.size else np.zeros(at.size, bool)
        weight = np.ones(at.size)
        weight[is_known] = self.weight_M[at[is_known]]
        unique, column = np.unique(hashes.data, return_inverse=True)
        weight_NM = csr_array(
            (weight, column, hashes.indptr), shape=(len(items), max(unique.size, 1))
        )
        # One order of adding up, whatever other items there are: by hash.
        weight_NM.sum_duplicates()
        return csr_array(weight_NM @ _sign_patterns(unique))


@dataclass(frozen=True, slots=True, eq=False)
class _ValueHashes:
    """Hashes of the values of all items, item after item."""

    data: Hashes
    indptr: npt.NDArray[np.int64]


def _hash_values(items: RawItems) -> _ValueHashes:
    """Hash brand, every level of the category path and the categorical columns of each item."""
    known: dict[tuple[str, ...], int] = {}
    hashes: list[int] = []
    ends = [0]
    for row in range(len(items)):
        path = items.categories[row]
        values = [("category", *path[: depth + 1]) for depth in range(len(path))]
        if items.brands[row]:
            values.append(("brand", items.brands[row]))
        for name, column in items.categorical.items():
            value = column[row]
            values.append(("column", name) if value is None else ("column", name, value))
        for entry in values:
            if entry not in known:
                known[entry] = _hash_value(entry)
            hashes.append(known[entry])
        ends.append(len(hashes))
    return _ValueHashes(np.array(hashes, dtype=np.uint64), np.array(ends))


def _hash_value(value: tuple[str, ...]) -> int:
    """Hash a value with the name of its column."""
    digest = hashlib.blake2b(json.dumps(value).encode(), digest_size=_SIGNS // 8).digest()
    return int.from_bytes(digest, "little")


def _sign_patterns(hash_M: Hashes) -> Doubles:
    """Read the bits of hashes as signs, rows of length 1; a row of zeros if there is no hash."""
    if hash_M.size == 0:
        return np.zeros((1, _SIGNS))
    bit_MS = np.unpackbits(hash_M.astype("<u8").view(np.uint8).reshape(-1, _SIGNS // 8), axis=1)
    sign_MS: Doubles = (2.0 * bit_MS - 1.0) / np.sqrt(_SIGNS)
    return sign_MS


def _fit_scale(value_N: Doubles) -> Scale:
    """Take quantiles; equal ones share the middle of their places."""
    quantiles = np.quantile(value_N, np.linspace(0.0, 1.0, _QUANTILES))
    knot_Q = np.unique(quantiles)
    first_Q = np.searchsorted(quantiles, knot_Q, side="left")
    last_Q = np.searchsorted(quantiles, knot_Q, side="right") - 1
    return Scale(knot_Q=knot_Q, place_Q=(first_Q + last_Q) / (_QUANTILES - 1) - 1.0)


def _on_circle(value_N: Doubles, scale: Scale) -> csr_array:
    """Turn numbers into sine, cosine and 0, or 0, 0 and 1 where there is none."""
    is_missing_N = np.isnan(value_N)
    place_N = np.interp(np.where(is_missing_N, 0.0, value_N), scale.knot_Q, scale.place_Q)
    angle_N = 0.5 * np.pi * place_N
    point_N3 = np.stack([np.sin(angle_N), np.cos(angle_N), np.zeros(value_N.size)], axis=1)
    point_N3[is_missing_N] = (0.0, 0.0, 1.0)
    return csr_array(point_N3)
