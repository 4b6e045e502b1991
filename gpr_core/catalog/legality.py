"""Which trie nodes may be entered for a request, counted exactly.

Targeting is a conjunction, so OR-ing attributes up the tree is not exact (an ad for men in Beijing
and one for women in Shanghai do not serve a man in Shanghai); counting whole ads is.

Letters: B requests, A ads by rank, M flat rows, V codes, C flat children, X flat boundaries.

Source: specification 5.1; the counting form is our own.
"""

import torch
from torch import Tensor

from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.trie import Children, Trie
from gpr_core.support.errors import ShapeError
from gpr_core.support.shapes import check_shape


def legal_children(trie: Trie, eligible: EligibleAds, rows_M: Tensor, nodes_M: Tensor) -> Children:
    """List the children with at least one eligible ad below them.

    A legal node that is no leaf has a legal child, so a beam that enters only legal nodes never
    meets a dead end.

    Args:
        trie: The catalog's tree.
        eligible: Ads that may serve each request.
        rows_M: [M] int64, request of each row.
        nodes_M: [M] int64, node the row stands at; -1 has no children.

    Returns:
        The legal children, in the order of (row, code).

    Raises:
        ShapeError: If the rows and nodes differ in shape, or the ads are another catalog's.
    """
    check_shape("rows_M", rows_M, tuple(nodes_M.shape))
    if eligible.num_ads != trie.num_ads:
        raise ShapeError(
            f"eligibility of {eligible.num_ads} ads, the catalog has {trie.num_ads}",
            where="eligible",
            fix="compute eligibility with the same catalog",
        )
    start_M, count_M = trie.child_range(nodes_M)
    # A child ends where its neighbor begins: k children have k + 1 boundaries.
    row_X = torch.repeat_interleave(count_M + 1)
    first_M = torch.cumsum(count_M + 1, 0) - (count_M + 1)
    node_X = torch.arange(row_X.numel(), device=row_X.device) + (start_M - first_M)[row_X]
    is_end_X = node_X == (start_M + count_M)[row_X]
    rank_X = torch.where(is_end_X, trie.end_before(node_X), trie.first_N1[node_X])
    before_X = eligible.count_before(rows_M[row_X], rank_X)
    has_ads_X = (before_X[1:] > before_X[:-1]) & ~is_end_X[:-1]
    legal = has_ads_X.nonzero()[:, 0]
    node_C = node_X[legal]
    return Children(row_X[legal], trie.code_N[node_C].to(torch.int64), node_C)


def legal_codes(trie: Trie, eligible: EligibleAds, rows_M: Tensor, nodes_M: Tensor) -> Tensor:
    """Say which codes may follow at given nodes.

    Args:
        trie: The catalog's tree.
        eligible: Ads that may serve each request.
        rows_M: [M] int64, request of each row.
        nodes_M: [M] int64, node the row stands at; -1 has no children.

    Returns:
        [M, V] bool, True where the child exists and is legal; V is the largest codebook size.
    """
    found = legal_children(trie, eligible, rows_M, nodes_M)
    shape = (nodes_M.numel(), max(trie.codebook_sizes))
    legal_MV = torch.zeros(shape, dtype=torch.bool, device=nodes_M.device)
    legal_MV[found.row_C, found.code_C] = True
    return legal_MV
