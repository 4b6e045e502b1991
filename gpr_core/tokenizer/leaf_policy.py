"""How a path, which several ads may share, leads to single ads.

The value policy: a leaf is the list of ads with one path, in launch order; serving keeps the
eligible ones and lets the value heads choose among them.

Letters: M leaves, B requests, A ads by rank, C flat (leaf, ad) pairs.

Source: specification 2.2.
"""

import numpy as np
import numpy.typing as npt


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
