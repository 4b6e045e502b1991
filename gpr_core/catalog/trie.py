"""Prefix tree over the semantic ids of all ads, as flat arrays.

Ads are sorted by (path, ad_key); the position is the rank of an ad. Every node covers one
contiguous interval of ranks, and the children of a node are contiguous nodes, because nodes are
numbered level by level in the order of their paths. Node 0 is the root.

Letters: A ads by rank, L levels, N trie nodes, M flat rows, V codes, C flat children.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.support.errors import ArtifactError, ContractError, ShapeError
from gpr_core.support.shapes import check_shape

INDEX_FILE = "index.npz"


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
    """Prefix tree of one catalog version.

    Attributes:
        codebook_sizes: Number of codes per level.
        path_AL: [A, L] int16, codes of the ad of each rank.
        ad_key_A: [A] int64, key of the ad of each rank.
        leaf_A: [A] int64, leaf node of the ad of each rank.
        first_N: [N] int64, first rank under the node.
        end_N: [N] int64, rank after the last one under the node.
        level_N: [N] int64, number of codes that lead to the node, 0 for the root.
        code_N: [N] int64, last code of the node, -1 for the root.
        parent_N: [N] int64, parent node, -1 for the root.
        child_ptr_N1: [N + 1] int64, children of node n are child_ptr[n] .. child_ptr[n + 1] - 1.
        key_sorted_A: [A] int64, ad keys in ascending order.
        key_rank_A: [A] int64, rank of each of `key_sorted_A`.

    Source:
        Specification 5.1; contiguous rank intervals make legality a difference of two counts.
    """

    codebook_sizes: tuple[int, ...]
    path_AL: Tensor
    ad_key_A: Tensor
    leaf_A: Tensor
    first_N: Tensor
    end_N: Tensor
    level_N: Tensor
    code_N: Tensor
    parent_N: Tensor
    child_ptr_N1: Tensor
    key_sorted_A: Tensor
    key_rank_A: Tensor

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
            >>> trie.ad_key_A.tolist(), trie.first_N.tolist(), trie.end_N.tolist()
            ([9, 7], [0, 0, 1, 0, 1], [2, 1, 2, 1, 2])
        """
        path_AL = np.asarray(path_AL, dtype=np.int16)
        keys_A = np.asarray(ad_keys).astype(np.int64)
        check_shape("path_AL", path_AL, (None, None))
        check_shape("ad_keys", keys_A, (path_AL.shape[0],))
        sizes = _checked_sizes(path_AL, codebook_sizes)
        key_order_A = np.argsort(keys_A, kind="stable")
        _refuse_duplicates(keys_A[key_order_A])
        order_A = np.lexsort((keys_A, *path_AL.T[::-1]))
        path_AL, keys_A = path_AL[order_A], keys_A[order_A]
        by_key_A = np.argsort(keys_A)
        return Trie(
            codebook_sizes=sizes,
            path_AL=torch.from_numpy(np.ascontiguousarray(path_AL)),
            ad_key_A=torch.from_numpy(keys_A),
            key_sorted_A=torch.from_numpy(keys_A[by_key_A]),
            key_rank_A=torch.from_numpy(by_key_A),
            **_node_arrays(path_AL),
        )

    @property
    def num_levels(self) -> int:
        """Code levels L."""
        return len(self.codebook_sizes)

    @property
    def num_nodes(self) -> int:
        """Nodes N, the root included."""
        return int(self.first_N.numel())

    @property
    def num_ads(self) -> int:
        """Ads A."""
        return int(self.ad_key_A.numel())

    def to(self, device: str) -> "Trie":
        """Copy the tree to a device.

        Args:
            device: For example `cuda`.

        Returns:
            A tree whose tensors live there.
        """
        names = [field.name for field in fields(self) if field.name != "codebook_sizes"]
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def expand(self, nodes_M: Tensor) -> Children:
        """List the children of nodes, without padding.

        Args:
            nodes_M: [M] int64 nodes; -1 has no children.

        Returns:
            All children, in the order of (row, code).
        """
        check_shape("nodes_M", nodes_M, (None,))
        known_M = nodes_M >= 0
        safe_M = nodes_M.clamp(min=0)
        start_M = self.child_ptr_N1[safe_M]
        count_M = (self.child_ptr_N1[safe_M + 1] - start_M) * known_M
        row_C = torch.repeat_interleave(count_M)
        before_M = torch.cumsum(count_M, 0) - count_M
        node_C = torch.arange(row_C.numel(), device=row_C.device) + (start_M - before_M)[row_C]
        return Children(row_C, self.code_N[node_C], node_C)

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
        width = max(self.codebook_sizes)
        key_N = (self.parent_N * width + self.code_N)[1:].contiguous()
        node_M = torch.zeros(path_ML.shape[0], dtype=torch.int64, device=path_ML.device)
        found = []
        for code_M in path_ML.to(torch.int64).unbind(1):
            in_range_M = (node_M >= 0) & (code_M >= 0) & (code_M < width)
            wanted_M = torch.where(in_range_M, node_M * width + code_M, -1)
            position_M = torch.searchsorted(key_N, wanted_M)
            inside_M = position_M < key_N.numel()
            hit_M = torch.zeros_like(inside_M)
            hit_M[inside_M] = key_N[position_M[inside_M]] == wanted_M[inside_M]
            node_M = torch.where(hit_M, position_M + 1, -1)
            found.append(node_M)
        return torch.stack(found, 1) if found else path_ML.to(torch.int64)

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
        position_M = torch.searchsorted(self.key_sorted_A, ad_keys_M).clamp(max=self.num_ads - 1)
        hit_M = self.key_sorted_A[position_M] == ad_keys_M
        return torch.where(hit_M, self.key_rank_A[position_M], -1)

    def save(self, folder: Path) -> None:
        """Write the arrays to `index.npz`.

        Args:
            folder: Existing or new folder.
        """
        folder.mkdir(parents=True, exist_ok=True)
        names = [field.name for field in fields(self) if field.name != "codebook_sizes"]
        arrays = {name: getattr(self, name).cpu().numpy() for name in names}
        np.savez(folder / INDEX_FILE, codebook_sizes=np.array(self.codebook_sizes), **arrays)

    @staticmethod
    def load(folder: Path) -> "Trie":
        """Read the arrays from `index.npz`.

        Args:
            folder: Folder that `save` wrote.

        Returns:
            The tree.

        Raises:
            ArtifactError: If the file is missing or holds other arrays.
        """
        path = folder / INDEX_FILE
        if not path.exists():
            raise ArtifactError(
                "catalog index is missing", where=str(path), fix="run the step tokenization"
            )
        names = {field.name for field in fields(Trie)}
        with np.load(path, allow_pickle=False) as stored:
            if set(stored.files) != names:
                raise ArtifactError(
                    f"catalog index holds {sorted(stored.files)}, expected {sorted(names)}",
                    where=str(path),
                    fix="run the step tokenization again",
                )
            arrays = {name: torch.from_numpy(stored[name]) for name in names - {"codebook_sizes"}}
            sizes = tuple(int(size) for size in stored["codebook_sizes"])
        return Trie(codebook_sizes=sizes, **arrays)


def _checked_sizes(
    path_AL: npt.NDArray[np.int16], codebook_sizes: Sequence[int] | None
) -> tuple[int, ...]:
    """Settle the codebook sizes and check that every code fits."""
    num_ads, num_levels = path_AL.shape
    if num_levels == 0:
        raise ShapeError("path_AL has no levels", where="path_AL", fix="pass at least one code")
    largest_L = path_AL.max(0) if num_ads else np.zeros(num_levels, np.int16)
    sizes = tuple(int(size) for size in (codebook_sizes or largest_L.astype(np.int64) + 1))
    if len(sizes) != num_levels:
        raise ShapeError(
            f"{len(sizes)} codebook sizes for paths of {num_levels} levels",
            where="codebook_sizes",
            fix="pass one size per level",
        )
    if num_ads and (path_AL.min() < 0 or (largest_L >= np.array(sizes)).any()):
        raise ContractError(
            f"codes range from {path_AL.min()} to {largest_L.tolist()}, codebooks hold {sizes}",
            where="path_AL",
            fix="encode the ads with the tokenizer of this catalog",
        )
    return sizes


def _refuse_duplicates(sorted_keys_A: npt.NDArray[np.int64]) -> None:
    """Refuse a key that appears twice."""
    twice = sorted_keys_A[1:][sorted_keys_A[1:] == sorted_keys_A[:-1]]
    if twice.size:
        raise ContractError(
            f"{twice.size} ad keys appear twice, for example {int(twice[0])}",
            where="ad_keys",
            fix="pass each ad once",
        )


def _node_arrays(path_AL: npt.NDArray[np.int16]) -> dict[str, Tensor]:
    """Number the nodes of sorted paths, level by level."""
    num_ads, num_levels = path_AL.shape
    first, end, level, code, parent = [[0], [num_ads], [0], [-1], [-1]]
    parts = [[np.array(values, np.int64)] for values in (first, end, level, code, parent)]
    is_new_A = np.zeros(num_ads, dtype=bool)
    is_new_A[:1] = True
    node_A, next_node = np.zeros(num_ads, np.int64), 1
    for depth in range(num_levels):
        is_new_A[1:] |= path_AL[1:, depth] != path_AL[:-1, depth]
        start = np.flatnonzero(is_new_A)
        columns = (
            start,
            np.append(start[1:], num_ads)[: start.size],
            np.full(start.size, depth + 1),
            path_AL[start, depth].astype(np.int64),
            node_A[start],
        )
        for part, column in zip(parts, columns, strict=True):
            part.append(column)
        node_A = next_node + np.cumsum(is_new_A) - 1
        next_node += start.size
    first_N, end_N, level_N, code_N, parent_N = (np.concatenate(part) for part in parts)
    child_ptr_N1 = 1 + np.searchsorted(parent_N[1:], np.arange(next_node + 1))
    arrays = {
        "leaf_A": node_A,
        "first_N": first_N,
        "end_N": end_N,
        "level_N": level_N,
        "code_N": code_N,
        "parent_N": parent_N,
        "child_ptr_N1": child_ptr_N1,
    }
    return {name: torch.from_numpy(array.astype(np.int64)) for name, array in arrays.items()}
