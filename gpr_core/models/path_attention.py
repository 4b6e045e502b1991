"""Attention of the last position of code paths to what comes before it on the path.

All paths of a readout share their first positions, and longer ones their beginnings. Keys and
values are kept once per readout and once per prefix. The shared positions, which are most of them,
are never copied; of its own codes a path gathers one position each.

Letters: M readouts, S shared positions, N flat rows (paths), H attention heads, E head width, C
rows of one readout (padded), P own positions, X = S + P positions that a path sees.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from gpr_core.models.attention import merge_heads, split_heads
from gpr_core.models.grouping import Grouping

# Floats in a vector register.
_VECTOR = 16


def attend_along_paths(
    query_NHE: Tensor,
    shared_MHSE: tuple[Tensor, Tensor],
    chain_N2HE: Sequence[Tensor],
    readouts: Grouping,
) -> Tensor:
    """Average values of shared and own positions with softmax weights.

    Args:
        query_NHE: [N, H, E] float, last positions.
        shared_MHSE: Keys and values [M, H, S, E] of the positions that all paths of a readout see;
            S may be 0.
        chain_N2HE: Keys and values [N, 2, H, E] of each own position of the paths, the last one
            included; at least one.
        readouts: Readout of each path.

    Returns:
        [N, H, E] float, softmax over all S + P positions, as `attention` computes it.
    """
    rows, heads, shared = *query_NHE.shape[:2], shared_MHSE[0].shape[2]
    query_NHE = query_NHE * query_NHE.shape[-1] ** -0.5
    own_NHP = torch.stack([(query_NHE * own_N2HE[:, 0]).sum(-1) for own_N2HE in chain_N2HE], dim=-1)
    query_MHCE, own_MHCP = (
        split_heads(readouts.spread(part.flatten(1)), heads) for part in (query_NHE, own_NHP)
    )
    score_MHCS = query_MHCE @ shared_MHSE[0].transpose(-1, -2)
    weight_MHCX = _softmax(torch.cat([score_MHCS, own_MHCP], dim=-1))
    read_MHCE = weight_MHCX[..., :shared] @ shared_MHSE[1]
    out_NHE, weight_NHP = (
        readouts.gather(merge_heads(part)).view(rows, heads, -1)
        for part in (read_MHCE, weight_MHCX[..., shared:])
    )
    for weight_NH, own_N2HE in zip(weight_NHP.unbind(-1), chain_N2HE, strict=True):
        out_NHE = torch.addcmul(out_NHE, weight_NH[..., None], own_N2HE[:, 1])
    return out_NHE


def _softmax(score_MHCX: Tensor) -> Tensor:
    """Softmax over the last dimension, which torch computes one by one where it is short."""
    if score_MHCX.shape[-1] >= _VECTOR:
        return torch.softmax(score_MHCX, dim=-1)
    return torch.softmax(score_MHCX.movedim(-1, 0).contiguous(), dim=0).movedim(0, -1)
