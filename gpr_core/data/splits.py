"""The tokenizer split and the weights that balance categories.

Letters: N items, C clusters.
"""

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.support.shapes import check_shape

Ints = npt.NDArray[np.int64]


class Split(IntEnum):
    """What the tokenizer may use an item for."""

    TRAIN = 0
    INNER_VALIDATION = 1
    HELD_OUT = 2


def split_clusters(
    stratum_C: Ints,
    key_C: npt.NDArray[np.uint64],
    *,
    held_out_share: float,
    inner_validation_share: float,
    seed: int,
) -> npt.NDArray[np.int8]:
    """Split whole clusters, the same share in every stratum.

    Inside a stratum clusters are ordered by a hash of their key, so that a new cluster moves at
    most the clusters at the two borders and never reshuffles the others.

    Args:
        stratum_C: [C] int64, kind and category of each cluster as one number.
        key_C: [C] uint64, key of the canonical item.
        held_out_share: Share that is held out.
        inner_validation_share: Share of the rest that is the inner validation set.
        seed: Run seed.

    Returns:
        [C] int8 `Split`; a stratum of one cluster goes to training.
    """
    check_shape("key_C", key_C, (stratum_C.size,))
    draw_C = keyed_uniform(seed, "tokenizer split", stratum_C, key_C)
    order = np.lexsort((key_C, draw_C, stratum_C))
    _, first, size = np.unique(stratum_C[order], return_index=True, return_counts=True)
    rank = np.arange(order.size) - np.repeat(first, size)
    num_held_out = np.round(held_out_share * size).astype(np.int64)
    num_inner = np.round(inner_validation_share * (size - num_held_out)).astype(np.int64)
    border_held_out = np.repeat(num_held_out, size)
    border_inner = border_held_out + np.repeat(num_inner, size)
    split = np.full(order.size, Split.TRAIN, dtype=np.int8)
    split[rank < border_inner] = Split.INNER_VALIDATION
    split[rank < border_held_out] = Split.HELD_OUT
    split_C = np.empty(order.size, dtype=np.int8)
    split_C[order] = split
    return split_C


def balance_weights(
    category_N: Ints, is_counted_N: npt.NDArray[np.bool_], *, exponent: float, cap: float
) -> npt.NDArray[np.float32]:
    """Weigh items so that large categories do not drown the small ones.

    An item of a category with n counted items weighs n to the minus `exponent`, at most `cap`
    times the smallest weight; the mean over the counted items is 1.

    Args:
        category_N: [N] int64.
        is_counted_N: [N] bool, the items that training draws from.
        exponent: 0 leaves the natural shares, 1 makes categories equal.
        cap: Largest ratio of two weights.

    Returns:
        [N] float32, all > 0.
    """
    check_shape("is_counted_N", is_counted_N, (category_N.size,))
    _, category_N = np.unique(category_N, return_inverse=True)
    size_N = np.bincount(category_N[is_counted_N], minlength=int(category_N.max(initial=0)) + 1)
    weight_N = np.maximum(size_N, 1).astype(np.float64)[category_N] ** -exponent
    weight_N = np.minimum(weight_N, cap * weight_N.min(initial=np.inf))
    mean = weight_N[is_counted_N].mean() if is_counted_N.any() else 1.0
    return np.asarray(weight_N / mean, dtype=np.float32)
