"""From paths to ads: predicted values of eligible ads and the final list.

Letters: B requests, A ads by rank, L levels, M flat paths or ads, C flat (path, ad) pairs.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.trie import Trie
from gpr_core.generation.beam import Beams
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.ordering import expand_intervals, rank_in_group
from gpr_core.generation.protocols import Candidates, DecodeRequests, Valuer
from gpr_core.objectives.final_value import DEFAULT_WEIGHTS, FinalValueWeights, ecpm, final_value

_FATIGUE_SCALE = 10.0
_CHUNK_PAIRS = 1 << 16


class AdValues(NamedTuple):
    """Predicted final values of (request, ad) pairs, sorted by request and rank.

    Attributes:
        row_M: [M] int64, request.
        rank_M: [M] int64, catalog rank.
        final_value_M: [M] float64, eCPM units.
    """

    row_M: Tensor
    rank_M: Tensor
    final_value_M: Tensor


def eligible_ads_below(
    trie: Trie, eligible: EligibleAds, row_M: Tensor, node_M: Tensor
) -> tuple[Tensor, Tensor]:
    """List the distinct (request, ad) pairs below nodes.

    Args:
        trie: The catalog's tree.
        eligible: Ads that may serve each request.
        row_M: [M] int64, request of each node.
        node_M: [M] int64.

    Returns:
        (row [C] int64, rank [C] int64), sorted by row and rank.
    """
    entry_M = torch.unique(row_M * trie.num_nodes + node_M)
    row_M, node_M = entry_M // trie.num_nodes, entry_M % trie.num_nodes
    owner_C, rank_C = expand_intervals(*trie.interval(node_M))
    row_C = row_M[owner_C]
    may_serve_C = eligible.contains(row_C, rank_C)
    return row_C[may_serve_C], rank_C[may_serve_C]


def predict_values(
    valuer: Valuer,
    state: Any,
    requests: DecodeRequests,
    ad_table: AdTable,
    trie: Trie,
    pairs: tuple[Tensor, Tensor],
    *,
    weights: FinalValueWeights = DEFAULT_WEIGHTS,
) -> AdValues:
    """Predict the final value of (request, ad) pairs with the model's own value heads.

    Args:
        valuer: Predicts outcomes.
        state: The policy's state.
        requests: The batch.
        ad_table: Bids valid at the request's time.
        trie: Gives the paths.
        pairs: (row, rank) from `eligible_ads_below`.
        weights: Weights of Eq 5.

    Returns:
        One value per pair, in the order of the pairs.
    """
    row_C, rank_C = pairs
    parts = [torch.zeros(0, dtype=torch.float64, device=row_C.device)]
    parts += [
        _predict_chunk(valuer, state, requests, ad_table, trie, chunk, weights)
        for chunk in zip(
            torch.split(row_C, _CHUNK_PAIRS), torch.split(rank_C, _CHUNK_PAIRS), strict=True
        )
    ]
    return AdValues(row_C, rank_C, torch.cat(parts))


def standardized_leaf_values(
    values: AdValues, valuer: Valuer, trie: Trie, row_C: Tensor, leaf_C: Tensor
) -> Tensor:
    """Value a leaf by its best ad, in the units of the prefix values.

    Args:
        values: Values of all eligible ads below the leaves.
        valuer: Gives mean and standard deviation.
        trie: The catalog's tree.
        row_C: [C] int64, request of each leaf.
        leaf_C: [C] int64, leaf nodes with an eligible ad.

    Returns:
        [C] float64.
    """
    pair_M = values.row_M * trie.num_nodes + trie.leaf_of(values.rank_M)
    # Ranks ascend with their leaf, so that pairs of one leaf are neighbors.
    leaf_U, owner_M = torch.unique_consecutive(pair_M, return_inverse=True)
    lowest_U = torch.full((leaf_U.numel(),), float("-inf"), dtype=torch.float64)
    best_U = lowest_U.to(leaf_U.device).scatter_reduce(0, owner_M, values.final_value_M, "amax")
    best_C = best_U[torch.searchsorted(leaf_U, row_C * trie.num_nodes + leaf_C)]
    return (best_C - valuer.value_mean.to(torch.float64)) / valuer.value_std.to(torch.float64)


def unite_heads(
    beams: Beams, head_weights_J: Tensor, trie: Trie, *, by_draw: bool
) -> tuple[Beams, Tensor]:
    """Keep each path once per request, from the head that likes it most.

    Args:
        beams: Complete paths of all heads.
        head_weights_J: [J] head weights.
        trie: The catalog's tree.
        by_draw: Compare perturbed log-probabilities instead of plain ones.

    Returns:
        (distinct paths sorted by request and path, their score [M] float64: log head weight plus
        path log-probability).
    """
    log_weight_J = head_weights_J.to(torch.float64).log()
    score_M = log_weight_J[beams.head_M] + beams.logp_MP.to(torch.float64).sum(1)
    path_M = beams.row_M * trie.num_nodes + beams.node_M
    is_best_M = rank_in_group(path_M, beams.draw_M if by_draw else score_M) == 0
    kept = is_best_M.nonzero().squeeze(1)
    kept = kept[torch.argsort(path_M[kept], stable=True)]
    return beams.select(kept), score_M[kept]


def emit(
    paths: Beams,
    score_M: Tensor,
    values: AdValues,
    trie: Trie,
    ad_table: AdTable,
    config: BeamConfig,
) -> Candidates:
    """Turn distinct paths into the final lists.

    Of every leaf the best ads by predicted value are taken; the best of all of them, by predicted
    value or by score, are the list. Ties go to the smaller ad key.

    Args:
        paths: Distinct complete paths, sorted by request and path.
        score_M: [M] their scores.
        values: Values of all eligible ads below them, possibly of more.
        trie: The catalog's tree.
        ad_table: Advertisers, for the cap.
        config: Parameters.

    Returns:
        At most `num_candidates` ads per request, fewer if fewer are eligible.
    """
    offers = _offers_of_paths(paths, score_M, values, trie, config)
    by_value, by_score = (offers.value_C, offers.score_C), (offers.score_C, offers.value_C)
    ranking = by_score if config.order == "retrieval" else by_value
    chosen_by = (offers.draw_C, *ranking) if config.mode == "gumbel" else ranking
    kept = _cut_lists(offers, chosen_by, trie, ad_table, config)
    row, rank, owner = offers.row_C[kept], offers.rank_C[kept], offers.path_C[kept]
    position = rank_in_group(row, *(key[kept] for key in ranking))
    candidates = Candidates(
        row_M=row,
        position_M=position,
        rank_M=rank,
        ad_key_M=trie.ad_key_A[rank],
        head_M=paths.head_M[owner],
        path_ML=paths.code_MP[owner],
        logp_ML=paths.logp_MP[owner],
        legal_count_ML=paths.legal_count_MP[owner],
        score_M=offers.score_C[kept].to(torch.float32),
        final_value_M=offers.value_C[kept],
    )
    return candidates.select(torch.argsort(row * config.num_candidates + position))


class _Offers(NamedTuple):
    """Ads that may enter the lists, by ascending ad key."""

    path_C: Tensor
    row_C: Tensor
    rank_C: Tensor
    value_C: Tensor
    score_C: Tensor
    draw_C: Tensor


def _offers_of_paths(
    paths: Beams, score_M: Tensor, values: AdValues, trie: Trie, config: BeamConfig
) -> _Offers:
    """Take the best ads of each leaf."""
    path_M = paths.row_M * trie.num_nodes + paths.node_M
    pair_C = values.row_M * trie.num_nodes + trie.leaf_of(values.rank_M)
    owner_C = torch.searchsorted(path_M, pair_C).clamp(max=path_M.numel() - 1)
    survived = (path_M[owner_C] == pair_C).nonzero().squeeze(1)
    in_leaf = rank_in_group(owner_C[survived], values.final_value_M[survived])
    taken = survived[in_leaf < config.leaf_ads]
    taken = taken[torch.argsort(trie.ad_key_A[values.rank_M[taken]], stable=True)]
    owner = owner_C[taken]
    return _Offers(
        path_C=owner,
        row_C=values.row_M[taken],
        rank_C=values.rank_M[taken],
        value_C=values.final_value_M[taken],
        score_C=score_M[owner],
        draw_C=paths.draw_M[owner],
    )


def _cut_lists(
    offers: _Offers,
    chosen_by: tuple[Tensor, ...],
    trie: Trie,
    ad_table: AdTable,
    config: BeamConfig,
) -> Tensor:
    """Choose the offers that enter the lists, advertisers capped; returns their positions."""
    kept = torch.arange(offers.row_C.numel(), device=offers.row_C.device)
    if config.advertiser_cap:
        key_C = ad_table.advertiser_key_A[offers.rank_C.cpu().numpy()]
        _, advertiser_C = np.unique(key_C, return_inverse=True)
        group_C = offers.row_C * trie.num_ads + torch.from_numpy(advertiser_C).to(kept.device)
        order_C = rank_in_group(group_C, *chosen_by)
        kept = kept[order_C < config.advertiser_cap]
    place = rank_in_group(offers.row_C[kept], *(key[kept] for key in chosen_by))
    return kept[place < config.num_candidates]


def _predict_chunk(
    valuer: Valuer,
    state: Any,
    requests: DecodeRequests,
    ad_table: AdTable,
    trie: Trie,
    pairs: tuple[Tensor, Tensor],
    weights: FinalValueWeights,
) -> Tensor:
    """Predict the final values of a bounded number of pairs."""
    row, rank = (index.cpu().numpy() for index in pairs)
    ts = requests.ts_B[row]
    features = torch.from_numpy(ad_table.features_at(ts, rank)).to(pairs[0].device)
    paths = trie.paths_of(pairs[1])
    outcome = valuer.item_values(state, pairs[0], paths, features)
    p_ctr, p_cvr, p_neg = (
        value.double().cpu().numpy()
        for value in (outcome.p_ctr_N, outcome.p_cvr_N, outcome.p_neg_N)
    )
    version = ad_table.version_of(ts, rank)
    price = ecpm(ad_table.bid_type_V[version], ad_table.bid_micros_V[version], p_ctr, p_cvr)
    shown = np.zeros(row.size) if requests.shown_BA is None else requests.shown_BA[row, rank]
    value = final_value(price, p_ctr, p_cvr, p_neg, shown / _FATIGUE_SCALE, weights)
    return torch.from_numpy(value).to(pairs[0].device)
