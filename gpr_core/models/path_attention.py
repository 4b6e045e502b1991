"""Attention of the last position of code paths to what comes before it on the path.

All paths of a readout share their first positions, and longer ones their beginnings. Keys and
values are kept once per readout and once per prefix. The shared positions, which are most of them,
are never copied; of its own codes a path gathers one position each.

Letters: M readouts, S shared positions, N flat rows (paths), H attention heads, E head width, C
rows of one readout (padded), X positions that a path sees.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gpr_core.models.attention import merge_heads, split_heads
from gpr_core.models.grouping import Grouping


class PathKey(NamedTuple):
    """Key and value of one position of each path.

    Attributes:
        key_NHE: [N, H, E] float.
        value_NHE: [N, H, E] float.
    """

    key_NHE: Tensor
    value_NHE: Tensor

    def select(self, row_N: Tensor) -> "PathKey":
        """Take the position of some paths.

        Args:
            row_N: [N'] int64.

        Returns:
            [N', H, E] each.
        """
        return PathKey(*(part.index_select(0, row_N) for part in self))


def attend_along_paths(
    query_NHE: Tensor,
    shared_MHSE: tuple[Tensor, Tensor],
    chain: Sequence[PathKey],
    readouts: Grouping,
) -> Tensor:
    """Average values of shared and own positions with softmax weights.

    Args:
        query_NHE: [N, H, E] float, last positions.
        shared_MHSE: Keys and values [M, H, S, E] of the positions that all paths of a readout see;
            S may be 0.
        chain: Own positions of the paths, the last one included; at least one.
        readouts: Readout of each path.

    Returns:
        [N, H, E] float, softmax over all S + len(chain) positions, as `attention` computes it.
    """
    heads, positions = query_NHE.shape[1], shared_MHSE[0].shape[2]
    query_NHE = query_NHE * query_NHE.shape[-1] ** -0.5
    # Positions come first: a softmax over a short last dimension is many times slower.
    score_XNH = torch.stack([(query_NHE * own.key_NHE).sum(-1) for own in chain])
    if positions:
        query_MHCE = split_heads(readouts.spread(query_NHE.flatten(1)), heads)
        score_MCX = merge_heads(query_MHCE @ shared_MHSE[0].transpose(-1, -2))
        score_NHS = readouts.gather(score_MCX).view(-1, heads, positions)
        score_XNH = torch.cat([score_XNH, score_NHS.permute(2, 0, 1)])
    weight_XNH = torch.softmax(score_XNH, dim=0)
    out_NHE = weight_XNH[0, ..., None] * chain[0].value_NHE
    for weight_NH, own in zip(weight_XNH[1 : len(chain)], chain[1:], strict=True):
        out_NHE = torch.addcmul(out_NHE, weight_NH[..., None], own.value_NHE)
    if positions:
        weight_NX = weight_XNH[len(chain) :].permute(1, 2, 0).flatten(1)
        read_MHCE = split_heads(readouts.spread(weight_NX), heads) @ shared_MHSE[1]
        out_NHE = out_NHE + readouts.gather(merge_heads(read_MHCE)).view_as(out_NHE)
    return out_NHE
