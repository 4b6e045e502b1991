"""Hit rates: is the ad that was shown in the list?

The shown ad is the truth whatever happened after it (action >= impression). `HR_ad@K` asks for the
ad among the first K, `HR_path@K` for its path among the first K distinct paths, and the no-repeat
rate counts only requests whose ad the user had not seen before: repeating history scores nothing
there (T24).

Letters: B requests, K candidates, A ads.

Source: specification 7.1; the paper's Table 2 mixes the first two.
"""

import numpy as np
import numpy.typing as npt

from gpr_core.evaluation.ranked_ads import NO_AD, RankedAds
from gpr_core.support.shapes import check_shape

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def ad_positions(candidates: RankedAds, truth_B: Ints) -> Ints:
    """Find the shown ad in each list.

    Args:
        candidates: Lists of one method.
        truth_B: [B] int64, catalog rank of the shown ad; -1 if the catalog lacks it.

    Returns:
        [B] int64, 1-based position, 0 if the ad is not in the list.

    Raises:
        ShapeError: If the number of requests differs.

    Example:
        >>> lists = RankedAds(np.array([[4, 2], [1, -1]]), np.zeros((2, 2)))
        >>> ad_positions(lists, np.array([2, 3])).tolist()
        [2, 0]
    """
    check_shape("truth_B", truth_B, (len(candidates.rank_BK),))
    is_truth_BK = candidates.is_ad() & (candidates.rank_BK == truth_B[:, None])
    return np.asarray(_first_true(is_truth_BK) * is_truth_BK.any(axis=1))


def path_positions(candidates: RankedAds, truth_B: Ints, path_A: Ints) -> Ints:
    """Find the path of the shown ad among the distinct paths of each list.

    Args:
        candidates: Lists of one method.
        truth_B: [B] int64, catalog rank of the shown ad; -1 if the catalog lacks it.
        path_A: [A] int64, an id of each ad's path; equal paths have equal ids.

    Returns:
        [B] int64, 1-based position among the distinct paths, 0 if the path is not in the list.

    Raises:
        ShapeError: If the number of requests differs.
    """
    check_shape("truth_B", truth_B, (len(candidates.rank_BK),))
    is_ad_BK = candidates.is_ad()
    path_BK = np.where(is_ad_BK, path_A[candidates.rank_BK], NO_AD)
    is_new_BK = is_ad_BK & _is_first_occurrence(path_BK)
    known_B = truth_B != NO_AD
    is_truth_BK = is_new_BK & (path_BK == path_A[truth_B][:, None]) & known_B[:, None]
    distinct_BK = np.cumsum(is_new_BK, axis=1)
    return np.asarray((distinct_BK * is_truth_BK).max(axis=1, initial=0))


def hits(position_B: Ints, k: int) -> Floats:
    """Say which requests are hits at K.

    Args:
        position_B: [B] int64, 1-based position, 0 for none.
        k: Length K of the list.

    Returns:
        [B] float64, 1.0 for a hit.
    """
    return ((position_B > 0) & (position_B <= k)).astype(np.float64)


def only_where(value_B: Floats, counted_B: npt.NDArray[np.bool_]) -> Floats:
    """Keep a metric for some requests only.

    Args:
        value_B: [B] float64.
        counted_B: [B] bool, which requests count.

    Returns:
        [B] float64, NaN for requests that do not count.
    """
    return np.where(counted_B, value_B, np.nan)


def _first_true(mask_BK: npt.NDArray[np.bool_]) -> Ints:
    """Give the 1-based position of the first True of each row (1 if there is none)."""
    if mask_BK.shape[1] == 0:
        return np.ones(len(mask_BK), dtype=np.int64)
    return np.asarray(mask_BK.argmax(axis=1) + 1, dtype=np.int64)


def _is_first_occurrence(value_BK: Ints) -> npt.NDArray[np.bool_]:
    """Mark the first time that a value stands in its row."""
    order_BK = np.argsort(value_BK, axis=1, kind="stable")
    sorted_BK = np.take_along_axis(value_BK, order_BK, axis=1)
    is_first_sorted = np.ones_like(sorted_BK, dtype=np.bool_)
    is_first_sorted[:, 1:] = sorted_BK[:, 1:] != sorted_BK[:, :-1]
    is_first_BK = np.empty_like(is_first_sorted)
    np.put_along_axis(is_first_BK, order_BK, is_first_sorted, axis=1)
    return is_first_BK
