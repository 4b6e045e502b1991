"""The legal sets of supervised training: codes that lead to an ad active at the request's time.

Serving and reinforcement learning use the full per-request set (targeting, budget, caps); the code
losses use this larger one, which depends on the time only (`train_legal: active`). The
specification buckets activity by day; a day bucket would hold ads that launch later on the same
day (T42), so activity is kept exactly: every trie node carries the disjoint intervals of time in
which at least one ad below it is active.

Letters: N trie nodes, I intervals of a node, A ads by rank, M flat rows, L levels, V codes.

Source: specification 3.6 (level-masked probability); exact intervals are our own.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligibility import RequestContext
from gpr_core.catalog.trie import Trie
from gpr_core.data.tables import AdStatus
from gpr_core.support.errors import LegalityError
from gpr_core.support.shapes import check_shape

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainLegality:
    """When each trie node has an active ad below it.

    Attributes:
        trie: The catalog's tree.
        start_NI: [N, I] int64 epoch ms, start of each interval; unused places hold 0.
        stop_NI: [N, I] int64 epoch ms, exclusive end; unused places hold 0.
    """

    trie: Trie
    start_NI: Tensor
    stop_NI: Tensor

    @staticmethod
    def build(ad_table: AdTable, trie: Trie) -> "TrainLegality":
        """Join the active intervals of all ads below each node.

        Args:
            ad_table: Ad versions in rank order.
            trie: The tree of the same ranks.

        Returns:
            The intervals of every node.
        """
        is_active_V = (ad_table.status_V == AdStatus.ACTIVE) & (ad_table.start_V < ad_table.stop_V)
        rank_V = torch.from_numpy(ad_table.rank_V[is_active_V])
        nodes_VL = trie.nodes_of_paths(trie.paths_of(rank_V)).numpy()
        nodes_VL1 = np.column_stack([np.zeros(len(nodes_VL), dtype=np.int64), nodes_VL])
        width = nodes_VL1.shape[1]
        node, start, stop = _join_intervals(
            nodes_VL1.reshape(-1),
            np.repeat(ad_table.start_V[is_active_V], width),
            np.repeat(ad_table.stop_V[is_active_V], width),
        )
        count_N = np.bincount(node, minlength=trie.num_nodes)
        place = np.arange(node.size) - (np.cumsum(count_N) - count_N)[node]
        shape = (trie.num_nodes, int(count_N.max(initial=1)))
        start_NI, stop_NI = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        start_NI[node, place], stop_NI[node, place] = start, stop
        return TrainLegality(
            trie=trie,
            start_NI=torch.from_numpy(start_NI),
            stop_NI=torch.from_numpy(stop_NI),
        )

    def is_legal(self, nodes: Tensor, ts: Tensor) -> Tensor:
        """Say whether nodes have an active ad below them.

        Args:
            nodes: [...] int64 nodes; -1 is never legal.
            ts: [...] int64 epoch ms, broadcastable to `nodes`.

        Returns:
            [...] bool.
        """
        safe = nodes.clamp(min=0)
        inside = (self.start_NI[safe] <= ts[..., None]) & (ts[..., None] < self.stop_NI[safe])
        return inside.any(-1) & (nodes >= 0)

    def legal_codes(self, path_ML: Tensor, is_target_M: Tensor, ts_M: Tensor) -> list[Tensor]:
        """Give the legal codes at every level along target paths.

        Args:
            path_ML: [M, L] int64 target codes.
            is_target_M: [M] bool, False for rows without a target, whose path is ignored.
            ts_M: [M] int64 epoch ms, time of the request.

        Returns:
            For each level l a [M, V_l] bool mask: codes that may follow the first l codes of the
            path; all True in rows without a target.

        Raises:
            LegalityError: If a target leads to no ad that is active at its request's time.
        """
        check_shape("is_target_M", is_target_M, (path_ML.shape[0],))
        nodes_ML = self.trie.nodes_of_paths(path_ML)
        self._refuse_illegal(nodes_ML, path_ML, is_target_M, ts_M)
        root_M = torch.zeros_like(nodes_ML[:, :1])
        parents_ML = torch.cat([root_M, nodes_ML[:, :-1]], dim=1)
        masks = []
        for level, size in enumerate(self.trie.codebook_sizes):
            child_MV = self.trie.children(parents_ML[:, level])[:, :size]
            legal_MV = self.is_legal(child_MV, ts_M[:, None])
            masks.append(legal_MV | ~is_target_M[:, None])
        return masks

    def _refuse_illegal(
        self, nodes_ML: Tensor, path_ML: Tensor, is_target_M: Tensor, ts_M: Tensor
    ) -> None:
        """Raise for targets outside the legal set; they are never added to it."""
        is_bad_M = is_target_M & ~self.is_legal(nodes_ML, ts_M[:, None]).all(-1)
        if bool(is_bad_M.any()):
            first = int(is_bad_M.nonzero()[0, 0])
            raise LegalityError(
                f"{int(is_bad_M.sum())} of {int(is_target_M.sum())} targets lead to no ad that is "
                f"active at the request; first: path {path_ML[first].tolist()} at "
                f"{int(ts_M[first])} ms",
                where="training targets",
                fix="curate impressions of ads that were not active, or rebuild the catalog",
            )


def pair_eligible(
    ad_table: AdTable, context: RequestContext, rows_M: Ints, ranks_M: Ints
) -> npt.NDArray[np.bool_]:
    """Say whether single ads could have served single requests, budget and caps aside.

    The same rule as `gpr_core.catalog.eligibility.eligible_ads`, for pairs instead of all ads.

    Args:
        ad_table: Ads in rank order.
        context: Requests.
        rows_M: [M] int64, request of each pair.
        ranks_M: [M] int64, rank of the ad of each pair; -1 is never eligible.

    Returns:
        [M] bool.
    """
    safe_M = np.maximum(ranks_M, 0)
    version_M = ad_table.version_of(context.ts[rows_M], safe_M)
    eligible_M = (version_M >= 0) & (ranks_M >= 0)
    eligible_M &= ad_table.status_V[version_M] == AdStatus.ACTIVE
    masks = (
        (ad_table.age_mask_V, context.age_bucket),
        (ad_table.gender_mask_V, context.gender),
        (ad_table.device_mask_V, context.device),
    )
    for mask_V, value_B in masks:
        eligible_M &= (mask_V[version_M].astype(np.int64) >> value_B[rows_M]) & 1 == 1
    elsewhere = ad_table.geo_allowed_SG.shape[1] - 1
    place_M = context.geo_l2[rows_M]
    place_M = np.where((place_M >= 0) & (place_M < elsewhere), place_M, elsewhere)
    eligible_M &= ad_table.geo_allowed_SG[ad_table.geo_set_V[version_M], place_M]
    return np.asarray(eligible_M)


def _join_intervals(node: Ints, start: Ints, stop: Ints) -> tuple[Ints, Ints, Ints]:
    """Unite overlapping or touching intervals of the same node; sorted by (node, start)."""
    if node.size == 0:
        return node, start, stop
    order = np.lexsort((start, node))
    node, start, stop = node[order], start[order], stop[order]
    # Times become their rank among all times, so that (node, time) fits one integer and a running
    # maximum over it restarts at every node.
    times = np.unique(np.concatenate([start, stop]))
    base = node * times.size
    reach = np.maximum.accumulate(base + np.searchsorted(times, stop))
    opens = np.ones(node.size, dtype=np.bool_)
    opens[1:] = (base + np.searchsorted(times, start))[1:] > reach[:-1]
    opens[1:] |= node[1:] != node[:-1]
    first = np.flatnonzero(opens)
    last = np.append(first[1:], node.size) - 1
    return node[first], start[first], times[reach[last] - base[last]]
