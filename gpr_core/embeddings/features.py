"""What all features of items have in common.

A feature turns items into sparse rows; what it learned on the training items is kept as tensors and
a few plain values, from which it is made again. N = items, F = columns of the rows.
"""

from collections.abc import Mapping
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from gpr_core.embeddings.raw_items import RawItems
from gpr_core.support.progress import Progress

Tensors = Mapping[str, npt.NDArray[np.generic]]


class Features(Protocol):
    """One view of items."""

    def rows(self, items: RawItems, progress: Progress) -> csr_array:
        """Describe items, each by itself.

        Args:
            items: Training or new items.
            progress: Where to report.

        Returns:
            [N, F] float32.
        """
        ...

    def tensors(self) -> Tensors:
        """Give the arrays that were fitted.

        Returns:
            Name -> array.
        """
        ...

    def settings(self) -> dict[str, Any]:
        """Give the plain values beside the arrays.

        Returns:
            JSON-serializable values; key `kind` names the class.
        """
        ...

    @classmethod
    def restore(cls, settings: Mapping[str, Any], tensors: Tensors) -> Self:
        """Make the features again.

        Args:
            settings: What `settings` gave.
            tensors: What `tensors` gave.

        Returns:
            Features that give the same rows.
        """
        ...
