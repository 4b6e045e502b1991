"""Precomputed vectors of texts or pictures, with a mark for items that have none.

N = items, W = length of the vectors.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.sparse import csr_array, hstack

from gpr_core.embeddings.features import Tensors
from gpr_core.embeddings.raw_items import RawItems
from gpr_core.support.progress import Progress
from gpr_core.support.shapes import check_shape


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VectorFeatures:
    """One vector column, rows of length 1; the last feature is 1 where the vector is missing.

    Attributes:
        column: Name of the column.
        width: Length of its vectors.
    """

    column: str
    width: int

    def rows(self, items: RawItems, progress: Progress) -> csr_array:
        """Describe items; see `Features`.

        Args:
            items: Training or new items.
            progress: Not used, nothing has to be computed.

        Returns:
            [N, W + 1] float32.

        Raises:
            ShapeError: If the vectors have another length than the training vectors; a column
                without any vector is one in which all are missing.
        """
        del progress
        vector_NW = items.vectors[self.column]
        if vector_NW.shape[1] == 0:
            vector_NW = np.zeros((len(items), self.width), dtype=np.float32)
        check_shape(f"vectors of {self.column}", vector_NW, (None, self.width))
        norm_N1 = np.linalg.norm(vector_NW, axis=1, keepdims=True)
        is_missing_N1 = norm_N1 == 0.0
        unit_NW = vector_NW / np.where(is_missing_N1, 1.0, norm_N1)
        return hstack(
            [csr_array(unit_NW), csr_array(is_missing_N1)], format="csr", dtype=np.float32
        )

    def tensors(self) -> Tensors:
        """Give the arrays; see `Features`.

        Returns:
            None are needed.
        """
        return {}

    def settings(self) -> dict[str, Any]:
        """Give the plain values; see `Features`.

        Returns:
            Kind, column and width.
        """
        return {"kind": "vectors", "column": self.column, "width": self.width}

    @classmethod
    def restore(cls, settings: Mapping[str, Any], tensors: Tensors) -> Self:
        """Make the features again; see `Features`.

        Args:
            settings: What `settings` gave.
            tensors: None are needed.

        Returns:
            Equal features.
        """
        del tensors
        return cls(column=settings["column"], width=settings["width"])
