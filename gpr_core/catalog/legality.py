"""Which trie nodes may be entered for a request, counted exactly.

Letters: B requests, A ads by rank, N trie nodes, M flat rows, V codes.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.catalog.trie import Trie
from gpr_core.support.errors import ShapeError
from gpr_core.support.shapes import check_shape


def count_eligible_below(
    eligible_BA: Tensor | npt.NDArray[np.bool_], first_N: Tensor, end_N: Tensor
) -> Tensor:
    """Count the eligible ads under every trie node.

    A node is legal for a request if and only if its count is positive. Targeting is a
    conjunction, so OR-ing attributes up the tree is not exact; counting whole ads is.

    Args:
        eligible_BA: [B, A] or [A] bool, True where the ad of that rank may serve the request.
        first_N: [N] int64, first catalog rank under the node, 0 <= first <= end.
        end_N: [N] int64, rank after the last one under the node, end <= A.

    Returns:
        [B, N] or [N] int64, eligible ads under each node; zero marks an illegal node.

    Raises:
        ShapeError: If `first_N` and `end_N` differ in shape.

    Source:
        Specification 5.1; the counting form is our own.

    Example:
        >>> mask = torch.tensor([True, False, True])
        >>> count_eligible_below(mask, torch.tensor([0, 1]), torch.tensor([3, 2])).tolist()
        [2, 0]
    """
    if first_N.shape != end_N.shape:
        raise ShapeError(
            f"first_N has shape {list(first_N.shape)}, end_N has shape {list(end_N.shape)}",
            where="end_N",
            fix="take both from one trie",
        )
    return _count(eligible_BA, first_N, end_N).to(torch.int64)


def legal_nodes(trie: Trie, eligible_BA: Tensor | npt.NDArray[np.bool_]) -> Tensor:
    """Say which nodes have at least one eligible ad below them.

    A legal node that is no leaf has a legal child, so a beam that enters only legal nodes never
    meets a dead end.

    Args:
        trie: The catalog's tree.
        eligible_BA: [B, A] bool, ads that may serve each request.

    Returns:
        [B, N] bool.

    Raises:
        ShapeError: If the number of ads differs from the tree's.
    """
    check_shape("eligible_BA", eligible_BA, (None, trie.num_ads))
    return _count(eligible_BA, trie.first_N, trie.end_N) > 0


def legal_children(trie: Trie, legal_BN: Tensor, rows_M: Tensor, nodes_M: Tensor) -> Tensor:
    """Say which codes may follow at given nodes.

    Args:
        trie: The catalog's tree.
        legal_BN: [B, N] bool from `legal_nodes`.
        rows_M: [M] int64, request of each row.
        nodes_M: [M] int64, node the row stands at; -1 has no children.

    Returns:
        [M, V] bool, True where the child exists and is legal; V is the largest codebook size.

    Raises:
        ShapeError: If the rows and nodes differ in shape, or the nodes are another tree's.
    """
    check_shape("legal_BN", legal_BN, (None, trie.num_nodes))
    check_shape("rows_M", rows_M, tuple(nodes_M.shape))
    found = trie.expand(nodes_M)
    shape = (nodes_M.numel(), max(trie.codebook_sizes))
    legal_MV = torch.zeros(shape, dtype=torch.bool, device=nodes_M.device)
    legal_MV[found.row_C, found.code_C] = legal_BN[rows_M[found.row_C], found.node_C]
    return legal_MV


def _count(eligible_BA: Tensor | npt.NDArray[np.bool_], first_N: Tensor, end_N: Tensor) -> Tensor:
    """Difference of prefix counts, int32: a catalog has fewer than 2**31 ads."""
    eligible_BA = torch.as_tensor(eligible_BA)
    before = torch.zeros(
        (*eligible_BA.shape[:-1], eligible_BA.shape[-1] + 1),
        dtype=torch.int32,
        device=eligible_BA.device,
    )
    torch.cumsum(eligible_BA, dim=-1, dtype=torch.int32, out=before[..., 1:])
    return before[..., end_N] - before[..., first_N]
