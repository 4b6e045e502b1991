"""Which trie nodes may be entered for a request, counted exactly.

Targeting is a conjunction, so OR-ing attributes up the tree is not exact (an ad for men in Beijing
and one for women in Shanghai do not serve a man in Shanghai); counting whole ads is. Counting takes
a few small reads per child and runs on the host.

Letters: B requests, A ads by rank, M flat rows, V codes, C flat children, X flat boundaries.

Source: specification 5.1; the counting form is our own.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.trie import Trie
from gpr_core.support.errors import ShapeError
from gpr_core.support.ranges import expand_ranges
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
    child_ptr, first_rank = trie.child_ptr_I1.numpy(), trie.first_N1.numpy()
    start_M = child_ptr[nodes_M].astype(np.int64)
    # A child ends where its neighbor begins: k children have k + 1 boundaries.
    bound_M = child_ptr[nodes_M + 1] - start_M + 1
    row_X, node_X = expand_ranges(start_M, start_M + bound_M)
    rank_X, last_M = first_rank[node_X], np.cumsum(bound_M) - 1
    # Rank 0 belongs to the first node of a level: the node before it closes the level above.
    rank_X[last_M] = np.where(rank_X[last_M] == 0, trie.num_ads, rank_X[last_M])
    before_X = eligible.count_before(rows_M[row_X], rank_X)
    has_ads_X = before_X[1:] > before_X[:-1]
    has_ads_X[last_M[:-1]] = False
    legal = np.flatnonzero(has_ads_X)
    node_C = node_X[legal]
    return LegalChildren(row_X[legal], trie.code_N.numpy()[node_C].astype(np.int64), node_C)


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
