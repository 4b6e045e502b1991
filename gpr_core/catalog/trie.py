"""Prefix tree over the semantic ids of all ads, as flat arrays.

Ads are sorted by (path, ad_key); the position is the rank of an ad. Every node covers one
contiguous interval of ranks, and the children of a node are contiguous nodes, because nodes are
numbered level by level in the order of their paths. Node 0 is the root. What follows from that is
not stored: a node ends where its neighbor begins, and the leaf and the path of an ad are found by
bisection.

Letters: A ads by rank, L levels, N trie nodes, I inner nodes (no leaves), M flat rows, V codes,
C flat children.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.catalog.packed_paths import Packed, pack_paths, sort_packed
from gpr_core.catalog.trie_nodes import number_nodes
from gpr_core.support.bisection import first_place
from gpr_core.support.errors import ContractError
from gpr_core.support.shapes import check_shape


class Children(NamedTuple):
    """Existing children of several nodes, without padding.

    Attributes:
        row_C: [C] int64, which of the M nodes asked about this is a child of, ascending.
        code_C: [C] int64, code of the child, ascending inside a row.
        node_C: [C] int64, node of the child.
    """

    row_C: Tensor
    code_C: Tensor
    node_C: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trie:
    """Prefix tree of one catalog version; 10 bytes a node and 12 bytes an ad.

    Attributes:
        codebook_sizes: Number of codes per level.
        level_start: First node of every level 0..L, then N.
        code_N: [N] int16, last code of the node, -1 for the root.
        first_N1: [N + 1] int32, first rank under the node; 0 at the end.
        child_ptr_I1: [I + 1] int32, children of inner node n are child_ptr[n] .. child_ptr[n + 1]
            - 1; leaves, the nodes of the last level, have none.
        ad_key_A: [A] int64, key of the ad of each rank.
        by_key_A: [A] int32, ranks in the order of their keys.

    Source:
        Specification 5.1; contiguous rank intervals make legality a difference of two counts.
    """

    codebook_sizes: tuple[int, ...]
    level_start: tuple[int, ...]
    code_N: Tensor
    first_N1: Tensor
    child_ptr_I1: Tensor
    ad_key_A: Tensor
    by_key_A: Tensor

    @staticmethod
    def build(
        path_AL: npt.NDArray[np.int16],
        ad_keys: npt.NDArray[np.uint64],
        codebook_sizes: Sequence[int] | None = None,
    ) -> "Trie":
        """Sort ads by path and number all nodes.

        Args:
            path_AL: [A, L] int16, codes of each ad, any order; L >= 1, A may be 0.
            ad_keys: [A] uint64 in [1, 2**63), unique.
            codebook_sizes: Number of codes per level; None takes the largest code seen plus one.

        Returns:
            The tree.

        Raises:
            ShapeError: If the shapes disagree.
            ContractError: If a key appears twice or a code is outside its codebook.

        Example:
            >>> trie = Trie.build(np.array([[1, 0], [0, 1]], np.int16), np.array([7, 9], np.uint64))
            >>> trie.ad_key_A.tolist(), [part.tolist() for part in trie.interval(torch.arange(3))]
            ([9, 7], [[0, 0, 1], [2, 1, 2]])
        """
        path_AL = np.asarray(path_AL, dtype=np.int16)
        check_shape("path_AL", path_AL, (None, None))
        if codebook_sizes is None:
            codebook_sizes = path_AL.max(0, initial=0).astype(np.int64) + 1
        sizes = tuple(int(size) for size in codebook_sizes)
        return Trie.from_packed(pack_paths(path_AL, sizes), ad_keys, sizes)

    @staticmethod
    def from_packed(
        packed_A: Packed, ad_keys: npt.NDArray[np.uint64], codebook_sizes: tuple[int, ...]
    ) -> "Trie":
        """Sort ads by packed path and number all nodes; fastest if they come by ascending key.

        Args:
            packed_A: [A] int64, from `pack_paths`.
            ad_keys: [A] uint64 in [1, 2**63), unique.
            codebook_sizes: Number of codes per level.

        Returns:
            The tree.

        Raises:
            ShapeError: If the shapes disagree.
            ContractError: If a key appears twice.
        """
        keys_A = np.asarray(ad_keys).astype(np.int64)
        check_shape("ad_keys", keys_A, (packed_A.size,))
        if not (keys_A[1:] > keys_A[:-1]).all():
            ascending_A = np.argsort(keys_A, kind="stable")
            keys_A, packed_A = keys_A[ascending_A], packed_A[ascending_A]
            _refuse_duplicates(keys_A)
        path_A, order_A = sort_packed(packed_A, codebook_sizes)
        by_key_A = np.empty(order_A.size, dtype=np.int32)
        by_key_A[order_A] = np.arange(order_A.size, dtype=np.int32)
        return Trie.from_sorted(path_A, keys_A[order_A], by_key_A, codebook_sizes)

    @staticmethod
    def from_sorted(
        path_A: Packed,
        keys_A: npt.NDArray[np.int64],
        by_key_A: npt.NDArray[np.int32],
        codebook_sizes: tuple[int, ...],
    ) -> "Trie":
        """Number all nodes of ads that are sorted already.

        Args:
            path_A: [A] int64, packed paths by (path, key).
            keys_A: [A] int64, keys in this order.
            by_key_A: [A] int32, ranks in the order of their keys.
            codebook_sizes: Number of codes per level.

        Returns:
            The tree.
        """
        nodes = number_nodes(path_A, codebook_sizes)
        return Trie(
            codebook_sizes=codebook_sizes,
            level_start=nodes.level_start,
            code_N=torch.from_numpy(nodes.code_N),
            first_N1=torch.from_numpy(nodes.first_N1),
            child_ptr_I1=torch.from_numpy(nodes.child_ptr_I1),
            ad_key_A=torch.from_numpy(keys_A),
            by_key_A=torch.from_numpy(by_key_A),
        )

    @property
    def num_levels(self) -> int:
        """Code levels L."""
        return len(self.codebook_sizes)

    @property
    def num_nodes(self) -> int:
        """Nodes N, the root included."""
        return self.level_start[-1]

    @property
    def num_ads(self) -> int:
        """Ads A."""
        return int(self.ad_key_A.numel())

    def interval(self, nodes_M: Tensor) -> tuple[Tensor, Tensor]:
        """Give the ranks below nodes.

        Args:
            nodes_M: [M] int64 nodes.

        Returns:
            First rank and rank after the last one, both [M] int64.
        """
        first_M, next_M = (self.first_N1[nodes].to(torch.int64) for nodes in (nodes_M, nodes_M + 1))
        # Rank 0 belongs to the first node of a level: the node before it closes the level above.
        return first_M, torch.where(next_M == 0, self.num_ads, next_M)

    def expand(self, nodes_M: Tensor) -> Children:
        """List the children of nodes, without padding.

        Args:
            nodes_M: [M] int64 nodes; -1 has no children.

        Returns:
            All children, in the order of (row, code).
        """
        start_M, count_M = self.child_range(nodes_M)
        row_C = torch.repeat_interleave(count_M)
        before_M = torch.cumsum(count_M, 0) - count_M
        node_C = torch.arange(row_C.numel(), device=row_C.device) + (start_M - before_M)[row_C]
        return Children(row_C, self.code_N[node_C].to(torch.int64), node_C)

    def child_range(self, nodes_M: Tensor) -> tuple[Tensor, Tensor]:
        """Say where the children of nodes are.

        Args:
            nodes_M: [M] int64 nodes; -1 has no children.

        Returns:
            First child and number of children, both [M] int64.
        """
        num_inner = self.child_ptr_I1.numel() - 1
        if not num_inner:
            return torch.zeros_like(nodes_M), torch.zeros_like(nodes_M)
        is_inner_M = (nodes_M >= 0) & (nodes_M < num_inner)
        safe_M = torch.where(is_inner_M, nodes_M, 0)
        start_M = self.child_ptr_I1[safe_M].to(torch.int64)
        return start_M, (self.child_ptr_I1[safe_M + 1] - start_M) * is_inner_M

    def children(self, nodes_M: Tensor) -> Tensor:
        """Give the child of each node for every code.

        Args:
            nodes_M: [M] int64 nodes; -1 has no children.

        Returns:
            [M, V] int64 child nodes, -1 where there is none; V is the largest codebook size.
        """
        found = self.expand(nodes_M)
        shape = (nodes_M.numel(), max(self.codebook_sizes))
        child_MV = torch.full(shape, -1, dtype=torch.int64, device=nodes_M.device)
        child_MV[found.row_C, found.code_C] = found.node_C
        return child_MV

    def nodes_of_paths(self, path_ML: Tensor) -> Tensor:
        """Find the node of every prefix of paths.

        Args:
            path_ML: [M, P] integer codes, P <= L.

        Returns:
            [M, P] int64, node of the first 1..P codes, -1 from where the path leaves the tree.
        """
        check_shape("path_ML", path_ML, (None, None))
        node_M = torch.zeros(path_ML.shape[0], dtype=torch.int64, device=path_ML.device)
        found = []
        for code_M in path_ML.to(torch.int64).unbind(1):
            node_M = self._child_of_code(node_M, code_M)
            found.append(node_M)
        return torch.stack(found, 1) if found else path_ML.to(torch.int64)

    def leaf_of(self, ranks_M: Tensor) -> Tensor:
        """Find the leaf of ads.

        Args:
            ranks_M: [M] int64 ranks.

        Returns:
            [M] int64 nodes of the last level.
        """
        return self._ancestor(ranks_M, self.num_levels)

    def leaves(self) -> Tensor:
        """List the leaves of all ads.

        Returns:
            [A] int64 nodes of the last level, by rank.
        """
        return self.leaf_of(torch.arange(self.num_ads))

    def paths_of(self, ranks_M: Tensor) -> Tensor:
        """Give the path of ads.

        Args:
            ranks_M: [M] int64 ranks.

        Returns:
            [M, L] int64 codes.
        """
        nodes = [self._ancestor(ranks_M, level + 1) for level in range(self.num_levels)]
        return torch.stack([self.code_N[node_M].to(torch.int64) for node_M in nodes], dim=1)

    def rank_of_ads(self, ad_keys_M: Tensor | npt.NDArray[np.int64]) -> Tensor:
        """Find the rank of ads.

        Args:
            ad_keys_M: [M] int64 (or uint64) ad keys.

        Returns:
            [M] int64 ranks, -1 for an ad that is not in the catalog.
        """
        if isinstance(ad_keys_M, np.ndarray):
            ad_keys_M = torch.from_numpy(ad_keys_M.astype(np.int64))
        check_shape("ad_keys_M", ad_keys_M, (None,))
        if not self.num_ads:
            return torch.full_like(ad_keys_M, -1)
        place_M = self.place_of_keys(ad_keys_M).clamp(max=self.num_ads - 1)
        rank_M = self.by_key_A[place_M].to(torch.int64)
        return torch.where(self.ad_key_A[rank_M] == ad_keys_M, rank_M, -1)

    def place_of_keys(self, ad_keys_M: Tensor) -> Tensor:
        """Find where keys are, or would be, in the order of keys.

        Args:
            ad_keys_M: [M] int64 ad keys.

        Returns:
            [M] int64 places in `by_key_A`, A behind the last key.
        """
        low_M = torch.zeros_like(ad_keys_M)
        return first_place(
            low_M,
            low_M + self.num_ads,
            self.num_ads.bit_length(),
            lambda place_M: self.ad_key_A[self.by_key_A[place_M]] < ad_keys_M,
        )

    def _ancestor(self, ranks_M: Tensor, level: int) -> Tensor:
        """Find the node of a level above ads."""
        start, end = self.level_start[level : level + 2]
        first_N = self.first_N1[start:end]
        place_M = torch.searchsorted(first_N, ranks_M.to(torch.int32), right=True)
        return place_M + (start - 1)

    def _child_of_code(self, nodes_M: Tensor, code_M: Tensor) -> Tensor:
        """Find the child of each node with a code, -1 if there is none."""
        start_M, count_M = self.child_range(nodes_M)
        found_M = first_place(
            start_M,
            start_M + count_M,
            max(self.codebook_sizes).bit_length(),
            lambda node_M: self.code_N[node_M] < code_M,
        )
        is_there_M = found_M < start_M + count_M
        safe_M = torch.where(is_there_M, found_M, 0)
        return torch.where(is_there_M & (self.code_N[safe_M] == code_M), found_M, -1)


def _refuse_duplicates(sorted_keys_A: npt.NDArray[np.int64]) -> None:
    """Refuse a key that appears twice."""
    twice = sorted_keys_A[1:][sorted_keys_A[1:] == sorted_keys_A[:-1]]
    if twice.size:
        raise ContractError(
            f"{twice.size} ad keys appear twice, for example {int(twice[0])}",
            where="ad_keys",
            fix="pass each ad once",
        )
