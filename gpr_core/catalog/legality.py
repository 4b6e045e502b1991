"""Which trie nodes may be entered for a request, counted exactly.

Targeting is a conjunction, so OR-ing attributes up the tree is not exact (an ad for men in Beijing
and one for women in Shanghai do not serve a man in Shanghai); counting whole ads is. Counting takes
a few small reads per child and runs on the host.

Letters: B requests, A ads by rank, N nodes, I inner nodes, M flat rows, V codes, C flat children.

Source: specification 5.1; the counting form is our own.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.catalog.eligible_ads import Bits, EligibleAds, ads_before
from gpr_core.catalog.trie import Trie
from gpr_core.support.compiled import compiled
from gpr_core.support.errors import ShapeError
from gpr_core.support.shapes import check_shape

Ints = npt.NDArray[np.int64]


class LegalChildren(NamedTuple):
    """Children of several nodes that may be entered, without padding.

    Attributes:
        row_C: [C] int64, which of the M nodes asked about this is a child of, ascending.
        code_C: [C] int64, code of the child, ascending inside a row.
        node_C: [C] int64, node of the child.
    """

    row_C: Ints
    code_C: Ints
    node_C: Ints


def legal_children(trie: Trie, eligible: EligibleAds, rows_M: Ints, nodes_M: Ints) -> LegalChildren:
    """List the children with at least one eligible ad below them.

    A legal node that is no leaf has a legal child, so a beam that enters only legal nodes never
    meets a dead end.

    Args:
        trie: The catalog's tree, on the host.
        eligible: Ads that may serve each request.
        rows_M: [M] int64, request of each row.
        nodes_M: [M] int64, node the row stands at, no leaf.

    Returns:
        The legal children, in the order of (row, code).

    Raises:
        ShapeError: If the rows and nodes differ in shape, or the ads are another catalog's.
    """
    check_shape("rows_M", rows_M, nodes_M.shape)
    if eligible.num_ads != trie.num_ads:
        raise ShapeError(
            f"eligibility of {eligible.num_ads} ads, the catalog has {trie.num_ads}",
            where="eligible",
            fix="compute eligibility with the same catalog",
        )
    tree = (trie.child_ptr_I1.numpy(), trie.first_N1.numpy(), trie.code_N.numpy())
    num_children = int((tree[0][nodes_M + 1] - tree[0][nodes_M]).sum())
    found_3C = np.empty((3, num_children), dtype=np.int64)
    count = _enter(tree, trie.num_ads, eligible.bits, rows_M, nodes_M, found_3C)
    return LegalChildren(*found_3C[:, :count])


def legal_codes(trie: Trie, eligible: EligibleAds, rows_M: Tensor, nodes_M: Tensor) -> Tensor:
    """Say which codes may follow at given nodes.

    Args:
        trie: The catalog's tree, on the host.
        eligible: Ads that may serve each request.
        rows_M: [M] int64, request of each row.
        nodes_M: [M] int64, node the row stands at, no leaf.

    Returns:
        [M, V] bool, True where the child exists and is legal; V is the largest codebook size.
    """
    found = legal_children(trie, eligible, rows_M.cpu().numpy(), nodes_M.cpu().numpy())
    width = max(trie.codebook_sizes)
    legal_MV = torch.zeros((nodes_M.numel(), width), dtype=torch.bool)
    legal_MV.view(-1)[torch.from_numpy(found.row_C * width + found.code_C)] = True
    return legal_MV.to(nodes_M.device)


@compiled
def _enter(
    tree: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32], npt.NDArray[np.int16]],
    num_ads: int,
    bits: Bits,
    row_M: Ints,
    node_M: Ints,
    found_3C: Ints,
) -> int:
    """Fill in rows, codes and nodes of the legal children, and count them."""
    child_ptr_I1, first_rank_N1, code_N = tree
    word_BW, inside_BW, before_BK = bits
    count = 0
    for idx in range(row_M.size):
        row = row_M[idx]
        if not 0 <= row < len(word_BW):
            raise IndexError("no such request")
        first, end = child_ptr_I1[node_M[idx]], child_ptr_I1[node_M[idx] + 1]
        before = ads_before(word_BW, inside_BW, before_BK, row, first_rank_N1[first])
        for child in range(first, end):
            # A child ends where its neighbor begins; the last one of a level ends with the ads.
            last = first_rank_N1[child + 1]
            now = ads_before(word_BW, inside_BW, before_BK, row, last if last else num_ads)
            if now > before:
                found_3C[0, count] = idx
                found_3C[1, count] = code_N[child]
                found_3C[2, count] = child
                count += 1
            before = now
    return count
