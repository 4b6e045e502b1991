"""Clusters of items that are the same, or nearly.

Duplicates are left out of the tokenizer's training sample only; all of them are encoded and served.
Cosines are exact and blocked: items are cut into cells, and two items are compared only if the
planes between the cells do not rule out that they are similar.

Letters: N items, P pairs, C clusters or cells, D width.

Source: specification 1.4.1 (the paper states the rule without numbers).
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from gpr_core.support.shapes import check_shape

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

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


def similar_pairs(x_ND: Floats, threshold: float) -> Ints:
    """Find all pairs of items whose cosine reaches a threshold, exactly.

    Items are compared cell by cell; where the geometry rules a pair out it is never looked at, so
    no pair is missed. Cosines within rounding of the threshold are decided in double precision:
    the pairs do not depend on how the items were cut into cells.

    Args:
        x_ND: [N, D] float32, rows of length 1; rows of zeros are similar to none.
        threshold: Smallest cosine of a pair.

    Returns:
        [P, 2] int64 indices, first < second, sorted.

    Source:
        Specification 1.4.1 asks for blocks of kind and category, and approximate pairs across
        them; exact cells replace both, decision 0015.
    """
    check_shape("x_ND", x_ND, (None, None))
    cells = _cut_into_cells(x_ND)
    radius = cells.radius(threshold)
    found = [np.empty((0, 2), dtype=np.int64)]
    for cell in range(cells.num_cells):
        inside = cells.inside(cell)
        for rows in _chunks(np.concatenate([cells.near(cell, radius), inside])):
            for columns in _chunks(inside):
                found.append(_pairs_in_block(cells.x_ND, rows, columns, threshold))
    pairs = np.sort(cells.item_N[np.concatenate(found)], axis=1)
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


def max_cosine_across(x_ND: Floats, group_N: npt.NDArray[np.int8]) -> float:
    """Give the largest cosine of two items of different groups.

    Args:
        x_ND: [N, D] float32, rows of length 1.
        group_N: [N] group of each item.

    Returns:
        The cosine; -1 if all items are of one group.
    """
    check_shape("group_N", group_N, (len(x_ND),))
    cells = _cut_into_cells(x_ND)
    group_N = group_N[cells.item_N]
    best = -1.0
    # The pairs inside the cells come first: what they reach rules out most of the others.
    for is_across in (False, True):
        for cell in range(cells.num_cells):
            inside = cells.inside(cell)
            others = cells.near(cell, cells.radius(best)) if is_across else inside
            for group in np.unique(group_N[inside]):
                columns = inside[group_N[inside] == group]
                best = max(best, _max_cosine(cells.x_ND, others[group_N[others] != group], columns))
    return best


class _Cells(NamedTuple):
    """Items sorted by the center that they are closest to; a place is a position in that order.

    Attributes:
        item_N: [N] int64, item at each place.
        x_ND: [N, D] float32, vector at each place.
        cell_N: [N] int64, cell of each place.
        own_N: [N] float32, cosine with the center of the own cell.
        start: First place of each cell, and the end of the last one.
        center_CD: [C, D] float32, rows of length 1.
        margin_CC: [C, C] float32, by how much the items of a cell (first axis) are at least closer
            to its own center than to another one (second axis), as a difference of cosines.
        longest: Largest squared length of an item, 1 up to rounding.
    """

    item_N: Ints
    x_ND: Floats
    cell_N: Ints
    own_N: Floats
    start: Ints
    center_CD: Floats
    margin_CC: Floats
    longest: float

    @property
    def num_cells(self) -> int:
        """Number of cells; none is empty."""
        return len(self.center_CD)

    def inside(self, cell: int) -> Ints:
        """List the places of a cell."""
        return np.arange(self.start[cell], self.start[cell + 1])

    def radius(self, cosine: float) -> float:
        """Give the largest distance of two items of that cosine or a higher one."""
        return math.sqrt(2.0 * max(self.longest - cosine + float(_rounding(self.x_ND)), 0.0))

    def near(self, cell: int, radius: float) -> Ints:
        """List the places of earlier cells that an item of this cell may be within a radius of.

        Two centers a and b are cut apart by a plane. An item of a lies (x a - x b) / |a - b| in
        front of it and the items of b at least margin / |a - b| behind, so that they are at least
        the sum of the two apart.
        """
        center_D = self.center_CD[cell]
        gap_C = np.linalg.norm(self.center_CD - center_D, axis=1)
        reach_C = np.float32(radius) * gap_C - self.margin_CC[cell] + _rounding(self.x_ND)
        cells = np.flatnonzero(self.margin_CC[:cell, cell] <= reach_C[:cell]).tolist()
        places = np.concatenate([np.empty(0, np.int64), *(self.inside(other) for other in cells)])
        closer = self.own_N[places] - self.x_ND[places] @ center_D
        near: Ints = places[closer <= reach_C[self.cell_N[places]]]
        return near


def _cut_into_cells(x_ND: Floats) -> _Cells:
    """Assign every item to the closest of about 2 sqrt(N) items that are spread over the input."""
    num_items = len(x_ND)
    own_N = np.full(num_items, -np.inf, dtype=np.float32)
    cell_N = np.zeros(num_items, dtype=np.int64)
    candidates, center_CD = np.arange(num_items), x_ND[:0]
    for _ in range(2):
        at = np.linspace(0, candidates.size, math.isqrt(num_items), endpoint=False).astype(np.int64)
        new_CD = x_ND[candidates[at]]
        for rows in _chunks(np.arange(num_items)):
            cosine = x_ND[rows] @ new_CD.T
            closest = cosine.argmax(axis=1)
            reached = cosine[np.arange(rows.size), closest]
            is_closer = reached > own_N[rows]
            cell_N[rows[is_closer]] = closest[is_closer] + len(center_CD)
            own_N[rows[is_closer]] = reached[is_closer]
        center_CD = np.concatenate([center_CD, new_CD])
        # The second half of the centers stands where the first has left the largest holes.
        candidates = np.argsort(own_N, kind="stable")[: (num_items + 1) // 2]
    return _sort_by_cell(x_ND, center_CD, cell_N, own_N)


def _sort_by_cell(x_ND: Floats, center_CD: Floats, cell_N: Ints, own_N: Floats) -> _Cells:
    """Put the items of a cell beside each other and measure how far the cells are apart."""
    used, cell_N = np.unique(cell_N, return_inverse=True)
    order = np.argsort(cell_N, kind="stable")
    cells = _Cells(
        item_N=order,
        x_ND=x_ND[order],
        cell_N=cell_N[order],
        own_N=own_N[order],
        start=np.searchsorted(cell_N[order], np.arange(used.size + 1)),
        center_CD=center_CD[used],
        margin_CC=np.empty((used.size, used.size), dtype=np.float32),
        longest=float(np.einsum("nd,nd->n", x_ND, x_ND).max(initial=1.0)),
    )
    for cell in range(used.size):
        inside = slice(cells.start[cell], cells.start[cell + 1])
        cosine = cells.x_ND[inside] @ cells.center_CD.T
        cells.margin_CC[cell] = (cells.own_N[inside][:, None] - cosine).min(axis=0)
    return cells


def _pairs_in_block(x_ND: Floats, rows: Ints, columns: Ints, threshold: float) -> Ints:
    """Compare some places with others; each pair is reported once, earlier place first."""
    cosine = x_ND[rows] @ x_ND[columns].T
    hits = np.flatnonzero(cosine >= threshold - _rounding(x_ND))
    pairs = np.stack([rows[hits // columns.size], columns[hits % columns.size]], axis=1)
    is_open = cosine.ravel()[hits] < threshold + _rounding(x_ND)
    keep = pairs[:, 0] < pairs[:, 1]
    left, right = x_ND[pairs[is_open]].astype(np.float64).transpose(1, 0, 2)
    keep[is_open] &= np.einsum("pd,pd->p", left, right) >= threshold
    return pairs[keep]


def _max_cosine(x_ND: Floats, rows: Ints, columns: Ints) -> float:
    """Give the largest cosine of some places with others; -1 if there are none."""
    best = -1.0
    for some in _chunks(rows):
        for others in _chunks(columns):
            best = max(best, float((x_ND[some] @ x_ND[others].T).max()))
    return best


def _rounding(x_ND: Floats) -> np.float32:
    """Bound the rounding errors of float32 products of vectors of length 1, with room."""
    return np.float32(4 * x_ND.shape[1] * np.finfo(np.float32).eps)


def _chunks(places: Ints) -> list[Ints]:
    """Cut a list of places into blocks whose products fit into the cache."""
    return [places[row : row + _BLOCK_ROWS] for row in range(0, places.size, _BLOCK_ROWS)]
