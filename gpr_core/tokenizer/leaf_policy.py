"""How a path, which several ads may share, leads to single ads.

The value policy: a leaf is the list of ads with one path, in launch order; serving keeps the
eligible ones and lets the value heads choose among them.

Letters: M leaves, B requests, A ads by rank, C flat (leaf, ad) pairs.

Source: specification 2.2.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.shapes import check_shape


class LeafAds(NamedTuple):
    """Eligible ads of several leaves, without padding.

    Attributes:
        leaf_C: [C] int64, which of the M leaves, ascending.
        rank_C: [C] int64, catalog rank of the ad, ascending inside a leaf.
    """

    leaf_C: npt.NDArray[np.int64]
    rank_C: npt.NDArray[np.int64]


def leaf_ranks(
    path_M: npt.NDArray[np.int64],
    launch_ts_M: npt.NDArray[np.int64],
    ad_key_M: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    """Number the ads of each path in launch order, so that later ads never change old numbers.

    Args:
        path_M: [M] int64, equal for ads with the same path.
        launch_ts_M: [M] int64 epoch ms.
        ad_key_M: [M] uint64, breaks ties of launch.

    Returns:
        [M] int64, position among the ads with the same path.

    Example:
        >>> leaf_ranks(np.array([5, 5, 8]), np.array([20, 10, 0]), np.array([1, 2, 3])).tolist()
        [1, 0, 0]
    """
    order_M = np.lexsort((ad_key_M, launch_ts_M, path_M))
    sorted_path_M = path_M[order_M]
    is_first_M = np.append(True, sorted_path_M[1:] != sorted_path_M[:-1])[: path_M.size]
    start_M = np.flatnonzero(is_first_M)[np.cumsum(is_first_M) - 1]
    rank_M = np.empty(path_M.size, dtype=np.int64)
    rank_M[order_M] = np.arange(path_M.size) - start_M
    return rank_M


def eligible_leaf_ads(
    first_M: npt.NDArray[np.int64],
    end_M: npt.NDArray[np.int64],
    rows_M: npt.NDArray[np.int64],
    eligible_BA: npt.NDArray[np.bool_],
) -> LeafAds:
    """List the ads of leaves that may serve their request; no other ad ever leaves a leaf.

    Args:
        first_M: [M] int64, first catalog rank of each leaf.
        end_M: [M] int64, rank after the last one.
        rows_M: [M] int64, request of each leaf.
        eligible_BA: [B, A] bool.

    Returns:
        All eligible ads; a leaf without any has no pair.

    Raises:
        ShapeError: If the leaf arrays differ in shape.
    """
    check_shape("end_M", end_M, tuple(first_M.shape))
    check_shape("rows_M", rows_M, tuple(first_M.shape))
    size_M = end_M - first_M
    leaf_C = np.repeat(np.arange(size_M.size), size_M)
    before_M = np.cumsum(size_M) - size_M
    rank_C = np.arange(leaf_C.size) + np.repeat(first_M - before_M, size_M)
    may_serve_C = eligible_BA[rows_M[leaf_C], rank_C]
    return LeafAds(leaf_C[may_serve_C], rank_C[may_serve_C])
