"""How many of a user's true interests a list of ads serves; only a synthetic world knows them.

Letters: B requests, K places of a list.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gpr_core.support.shapes import check_shape


def covered_interests(
    category_BK: npt.NDArray[np.int64], interests: Sequence[frozenset[int]]
) -> npt.NDArray[np.float64]:
    """Measure the share of interests with at least one ad of their category in the list.

    Args:
        category_BK: [B, K] int64, first-level category of each listed ad; negative where a list has
            ended.
        interests: B sets of first-level categories.

    Returns:
        [B] float64 in [0, 1]; NaN for a request without interests.

    Raises:
        ShapeError: If there are not as many sets as lists.

    Source:
        Specification 7.5 (coverage: share of live interest threads hit in the top K).

    Example:
        >>> covered_interests(np.array([[3, 3, -1]]), [frozenset({3, 5})]).tolist()
        [0.5]
    """
    check_shape("category_BK", category_BK, (len(interests), None))
    return np.array(
        [
            len(wanted.intersection(listed)) / len(wanted) if wanted else np.nan
            for wanted, listed in zip(interests, category_BK.tolist(), strict=True)
        ]
    )
