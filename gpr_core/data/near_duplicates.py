"""Clusters of items that are the same, or nearly.

Duplicates are left out of the tokenizer's training sample only; all of them are encoded and served.
Letters: N items, P pairs, D width.

Source: specification 1.4.1 (the paper states the rule without numbers).
"""

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gpr_core.support.shapes import check_shape

Ints = npt.NDArray[np.int64]

_BLOCK_ROWS = 2048


def equal_pairs(content_hash_N: npt.NDArray[np.uint64]) -> Ints:
    """Chain the items that have the same content hash.

    Args:
        content_hash_N: [N] uint64.

    Returns:
        [P, 2] int64 indices; following the pairs connects all items of a hash.

    Example:
        >>> equal_pairs(np.array([5, 7, 5, 5], dtype=np.uint64)).tolist()
        [[0, 2], [2, 3]]
    """
    check_shape("content_hash_N", content_hash_N, (None,))
    order = np.argsort(content_hash_N, kind="stable")
    is_equal = content_hash_N[order][1:] == content_hash_N[order][:-1]
    return np.stack([order[:-1][is_equal], order[1:][is_equal]], axis=1)


def similar_pairs(x_ND: npt.NDArray[np.float32], threshold: float) -> Ints:
    """Find all pairs of items whose cosine reaches a threshold, exactly.

    The specification asks for pairs inside (kind, category) blocks and approximate ones across;
    one pass of matrix products over everything finds both, in a minute at 120,000 items.

    Args:
        x_ND: [N, D] float32, rows of length 1.
        threshold: Smallest cosine of a pair.

    Returns:
        [P, 2] int64 indices, first < second, sorted.
    """
    check_shape("x_ND", x_ND, (None, None))
    found = [np.empty((0, 2), dtype=np.int64)]
    for row in range(0, len(x_ND), _BLOCK_ROWS):
        for column in range(row, len(x_ND), _BLOCK_ROWS):
            cosine = x_ND[row : row + _BLOCK_ROWS] @ x_ND[column : column + _BLOCK_ROWS].T
            first, second = np.nonzero(cosine >= np.float32(threshold))
            pairs = np.stack([first + row, second + column], axis=1)
            found.append(pairs[pairs[:, 0] < pairs[:, 1]])
    pairs = np.concatenate(found)
    return pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]


def cluster_pairs(pairs_P2: Ints, order_N: Ints) -> tuple[Ints, Ints]:
    """Join pairs into clusters and choose the canonical item of each.

    Args:
        pairs_P2: [P, 2] int64 indices of near duplicates.
        order_N: [N] int64, the items from most to least canonical: earliest first.

    Returns:
        [N] int64 cluster of each item, numbered from 0 in the order of their canonical items,
        and [C] int64, the canonical item of each cluster.
    """
    check_shape("pairs_P2", pairs_P2, (None, 2))
    num_items = order_N.size
    ones = np.ones(len(pairs_P2), dtype=np.int8)
    graph = coo_array((ones, (pairs_P2[:, 0], pairs_P2[:, 1])), shape=(num_items, num_items))
    _, component_N = connected_components(graph, directed=False)
    _, first, cluster = np.unique(component_N[order_N], return_index=True, return_inverse=True)
    by_age = np.argsort(first, kind="stable")
    number = np.empty_like(by_age)
    number[by_age] = np.arange(by_age.size)
    cluster_N = np.empty(num_items, dtype=np.int64)
    cluster_N[order_N] = number[cluster]
    return cluster_N, order_N[np.sort(first)]


def max_cosine_across(x_ND: npt.NDArray[np.float32], group_N: npt.NDArray[np.int8]) -> float:
    """Give the largest cosine of two items of different groups.

    Args:
        x_ND: [N, D] float32, rows of length 1.
        group_N: [N] group of each item.

    Returns:
        The cosine; -1 if all items are of one group.
    """
    check_shape("group_N", group_N, (len(x_ND),))
    best = -1.0
    for group in np.unique(group_N)[1:]:
        inside_MD, before_ND = x_ND[group_N == group], x_ND[group_N < group]
        for row in range(0, len(inside_MD), _BLOCK_ROWS):
            for column in range(0, len(before_ND), _BLOCK_ROWS):
                rows, columns = slice(row, row + _BLOCK_ROWS), slice(column, column + _BLOCK_ROWS)
                best = max(best, float((inside_MD[rows] @ before_ND[columns].T).max()))
    return best
