"""The nodes of sorted paths, level by level.

Letters: A ads by rank, N trie nodes, I inner nodes (no leaves), C flat nodes of one level.
"""

from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.catalog.packed_paths import Packed, level_bits


class Nodes(NamedTuple):
    """Node arrays of sorted paths, as in `gpr_core.catalog.trie.Trie`.

    Attributes:
        level_start: First node of every level 0..L, then N.
        code_N: [N] int16, last code of the node, -1 for the root.
        first_N1: [N + 1] int32, first rank under the node; 0 at the end.
        child_ptr_I1: [I + 1] int32, where the children of inner nodes are.
    """

    level_start: tuple[int, ...]
    code_N: npt.NDArray[np.int16]
    first_N1: npt.NDArray[np.int32]
    child_ptr_I1: npt.NDArray[np.int32]


def number_nodes(path_A: Packed, codebook_sizes: tuple[int, ...]) -> Nodes:
    """Number the nodes of sorted paths, from the leaves up: the parents of a level are fewer.

    Args:
        path_A: [A] int64 packed paths, ascending.
        codebook_sizes: Codes per level.

    Returns:
        The nodes.
    """
    firsts: list[npt.NDArray[np.int32]] = []
    codes, opens = [], []
    path_C = path_A
    for bits in reversed(level_bits(codebook_sizes)):
        is_new_C = np.ones(path_C.size, dtype=np.bool_)
        np.not_equal(path_C[1:], path_C[:-1], out=is_new_C[1:])
        open_C = np.flatnonzero(is_new_C).astype(np.int32)
        path_C = path_C[open_C]
        opens.append(open_C)
        firsts.append(firsts[-1][open_C] if firsts else open_C)
        codes.append((path_C & ((1 << bits) - 1)).astype(np.int16))
        path_C >>= bits
    sizes = [1, *(part.size for part in reversed(firsts))]
    level_start = tuple(accumulate(sizes, initial=0))
    # A node opens among the nodes of the next level at its first child. The leaves open among ads,
    # which are no nodes; the root has all nodes of level 1.
    pointers = [np.zeros(1, np.int32), *reversed(opens[1:])]
    child_ptr = [part + start for part, start in zip(pointers, level_start[1:-1], strict=True)]
    return Nodes(
        level_start,
        np.concatenate([np.array([-1], np.int16), *reversed(codes)]),
        np.concatenate([np.zeros(1, np.int32), *reversed(firsts), np.zeros(1, np.int32)]),
        np.concatenate([*child_ptr, np.array([level_start[-1]], np.int32)]),
    )
