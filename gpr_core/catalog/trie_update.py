"""New ads of a catalog that is being served: merged into the sorted ads, never sorted anew.

A tree is immutable; the one with the new ads is another version, whose ranks are others. What is
kept by rank moves along.

Letters: A ads by rank, M new ads, L levels.
"""

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.catalog.packed_paths import Packed, level_bits, pack_paths
from gpr_core.catalog.trie import Trie
from gpr_core.support.bisection import first_place
from gpr_core.support.errors import ContractError
from gpr_core.support.shapes import check_shape

Ints = npt.NDArray[np.int64]


def add_ads(
    trie: Trie, path_ML: npt.NDArray[np.int16], ad_keys: npt.NDArray[np.uint64]
) -> tuple[Trie, Ints]:
    """Merge new ads into a tree.

    Args:
        trie: The tree, on the host.
        path_ML: [M, L] int16, codes of the new ads.
        ad_keys: [M] uint64 in [1, 2**63), not in the tree, unique.

    Returns:
        The tree with all ads, and [A] int64, where every rank of the old tree is in the new one.

    Raises:
        ShapeError: If the shapes disagree.
        ContractError: If a key is there already, or a code is outside its codebook.
    """
    sizes = trie.codebook_sizes
    new_M = pack_paths(np.asarray(path_ML, dtype=np.int16), sizes)
    key_M = np.asarray(ad_keys).astype(np.int64)
    check_shape("ad_keys", key_M, (new_M.size,))
    order = np.lexsort((key_M, new_M))
    new_M, key_M = new_M[order], key_M[order]
    _refuse_known(trie, key_M)
    old_A, old_key_A = packed_paths_of(trie), trie.ad_key_A.numpy()
    place_M = _places(old_A, old_key_A, new_M, key_M)
    moved_A = np.arange(trie.num_ads) + np.searchsorted(
        place_M, np.arange(trie.num_ads), side="right"
    )
    rank_M = place_M + np.arange(place_M.size)
    by_key_A = trie.by_key_A.numpy()
    ascending_M = np.argsort(key_M)
    place_by_key_M = trie.place_of_keys(torch.from_numpy(key_M[ascending_M])).numpy()
    merged = Trie.from_sorted(
        np.insert(old_A, place_M, new_M),
        np.insert(old_key_A, place_M, key_M),
        np.insert(
            moved_A[by_key_A].astype(np.int32), place_by_key_M, rank_M[ascending_M].astype(np.int32)
        ),
        sizes,
    )
    return merged, moved_A


def packed_paths_of(trie: Trie) -> Packed:
    """Pack the paths of all ads of a tree.

    Args:
        trie: The tree, on the host.

    Returns:
        [A] int64, ascending.
    """
    packed_A = np.zeros(trie.num_ads, dtype=np.int64)
    if not trie.num_ads:
        return packed_A
    first_N1, code_N = trie.first_N1.numpy(), trie.code_N.numpy()
    for level, bits in enumerate(level_bits(trie.codebook_sizes)):
        start, end = trie.level_start[level + 1 : level + 3]
        count = np.diff(np.append(first_N1[start:end], trie.num_ads))
        packed_A <<= bits
        packed_A |= np.repeat(code_N[start:end], count)
    return packed_A


def _places(old_A: Packed, old_key_A: Ints, new_M: Packed, key_M: Ints) -> Ints:
    """Find the rank that each new ad goes before, by (path, key)."""
    low_M = torch.from_numpy(np.searchsorted(old_A, new_M, side="left"))
    high_M = torch.from_numpy(np.searchsorted(old_A, new_M, side="right"))
    keys_A, wanted_M = torch.from_numpy(old_key_A), torch.from_numpy(key_M)
    longest = int((high_M - low_M).max()) if low_M.numel() else 0
    found_M = first_place(
        low_M, high_M, longest.bit_length(), lambda place_M: keys_A[place_M] < wanted_M
    )
    return np.asarray(found_M.numpy())


def _refuse_known(trie: Trie, key_M: Ints) -> None:
    """Refuse keys that the tree has, or that come twice."""
    known = key_M[trie.rank_of_ads(key_M).numpy() >= 0]
    sorted_M = np.sort(key_M)
    twice = sorted_M[1:][sorted_M[1:] == sorted_M[:-1]]
    bad = np.concatenate([known, twice])
    if bad.size:
        raise ContractError(
            f"{bad.size} new ad keys are there already, for example {int(bad[0])}",
            where="ad_keys",
            fix="pass each new ad once; a changed path needs a new tree",
        )
