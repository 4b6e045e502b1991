"""From paths to ads: predicted values of eligible ads and the final list.

Letters: B requests, A ads by rank, L levels, M flat paths or ads, C flat (path, ad) pairs.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from gpr_core.catalog.ads import AdTable
from gpr_core.catalog.eligible_ads import EligibleAds
from gpr_core.catalog.trie import Trie
from gpr_core.generation.beam import Beams, Floats, Ints
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.ordering import rank_in_group
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

    row_M: Ints
    rank_M: Ints
    final_value_M: Floats


def eligible_ads_below(
    trie: Trie, eligible: EligibleAds, row_M: Ints, node_M: Ints
) -> tuple[Ints, Ints]:
    """List the distinct (request, ad) pairs below nodes.

    Args:
        trie: The catalog's tree, on the host.
        eligible: Ads that may serve each request.
        row_M: [M] int64, request of each node.
        node_M: [M] int64.

    Returns:
        (row [C] int64, rank [C] int64), sorted by row and rank.
    """
    row_M, node_M = np.divmod(np.unique(row_M * trie.num_nodes + node_M), trie.num_nodes)
    first_M, end_M = (part.numpy() for part in trie.interval(torch.from_numpy(node_M)))
    owner_C, rank_C = eligible.list_between(row_M, first_M, end_M)
    return row_M[owner_C], rank_C


def predict_values(
    valuer: Valuer,
    state: Any,
    requests: DecodeRequests,
    ad_table: AdTable,
    trie: Trie,
    pairs: tuple[Ints, Ints],
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
    parts = [np.zeros(0)]
    for start in range(0, row_C.size, _CHUNK_PAIRS):
        chunk = slice(start, start + _CHUNK_PAIRS)
        some = (row_C[chunk], rank_C[chunk])
        parts.append(_predict_chunk(valuer, state, requests, ad_table, trie, some, weights))
    return AdValues(row_C, rank_C, np.concatenate(parts))


def standardized_leaf_values(
    values: AdValues, valuer: Valuer, trie: Trie, row_C: Ints, leaf_C: Ints
) -> Floats:
    """Value a leaf by its best ad, in the units of the prefix values.

    Args:
        values: Values of all eligible ads below the leaves.
        valuer: Gives mean and standard deviation.
        trie: The catalog's tree, on the host.
        row_C: [C] int64, request of each leaf.
        leaf_C: [C] int64, leaf nodes with an eligible ad.

    Returns:
        [C] float64.
    """
    pair_M = values.row_M * trie.num_nodes + _leaf_of(trie, values.rank_M)
    # Ranks ascend with their leaf, so that pairs of one leaf are neighbors.
    first_U = np.flatnonzero(np.append(True, pair_M[1:] != pair_M[:-1]))
    best_U = np.maximum.reduceat(values.final_value_M, first_U)
    found_C = np.searchsorted(pair_M[first_U], row_C * trie.num_nodes + leaf_C)
    mean, deviation = float(valuer.value_mean), float(valuer.value_std)
    return np.asarray((best_U[found_C] - mean) / deviation)


def unite_heads(
    beams: Beams, head_weights_J: npt.NDArray[np.float64], trie: Trie, *, by_draw: bool
) -> tuple[Beams, Floats]:
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
    score_M = np.log(head_weights_J)[beams.head_M] + beams.logp()
    path_M = beams.row_M * trie.num_nodes + beams.node_M
    order_M = np.lexsort((-(beams.draw_M if by_draw else score_M), path_M))
    is_best_M = np.append(True, path_M[order_M][1:] != path_M[order_M][:-1])
    kept = order_M[is_best_M]
    return beams.select(kept), score_M[kept]


def emit(
    paths: Beams,
    score_M: Floats,
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
        trie: The catalog's tree, on the host.
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
    row, rank = offers.row_C[kept], offers.rank_C[kept]
    position = rank_in_group(row, *(key[kept] for key in ranking))
    in_order = np.argsort(row * config.num_candidates + position)
    kept, rank = kept[in_order], rank[in_order]
    owner = offers.path_C[kept]
    columns = (
        row[in_order],
        position[in_order],
        rank,
        trie.ad_key_A.numpy()[rank],
        paths.head_M[owner],
        paths.code_MP[owner],
        paths.logp_MP[owner],
        paths.legal_count_MP[owner],
        offers.score_C[kept].astype(np.float32),
        offers.value_C[kept],
    )
    return Candidates(*map(torch.from_numpy, columns))


class _Offers(NamedTuple):
    """Ads that may enter the lists, by ascending ad key."""

    path_C: Ints
    row_C: Ints
    rank_C: Ints
    value_C: Floats
    score_C: Floats
    draw_C: Floats


def _leaf_of(trie: Trie, rank_M: Ints) -> Ints:
    """Find the leaf of ads."""
    return np.asarray(trie.leaf_of(torch.from_numpy(rank_M)).numpy())


def _offers_of_paths(
    paths: Beams, score_M: Floats, values: AdValues, trie: Trie, config: BeamConfig
) -> _Offers:
    """Take the best ads of each leaf."""
    path_M = paths.row_M * trie.num_nodes + paths.node_M
    pair_C = values.row_M * trie.num_nodes + _leaf_of(trie, values.rank_M)
    owner_C = np.minimum(np.searchsorted(path_M, pair_C), path_M.size - 1)
    survived = np.flatnonzero(path_M[owner_C] == pair_C)
    in_leaf = rank_in_group(owner_C[survived], values.final_value_M[survived])
    taken = survived[in_leaf < config.leaf_ads]
    taken = taken[np.argsort(trie.ad_key_A.numpy()[values.rank_M[taken]], kind="stable")]
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
    chosen_by: tuple[Floats, ...],
    trie: Trie,
    ad_table: AdTable,
    config: BeamConfig,
) -> Ints:
    """Choose the offers that enter the lists, advertisers capped; returns their positions."""
    kept = np.arange(offers.row_C.size)
    if config.advertiser_cap:
        key_C = ad_table.advertiser_key_A[offers.rank_C]
        _, advertiser_C = np.unique(key_C, return_inverse=True)
        order_C = rank_in_group(offers.row_C * trie.num_ads + advertiser_C, *chosen_by)
        kept = kept[order_C < config.advertiser_cap]
    place = rank_in_group(offers.row_C[kept], *(key[kept] for key in chosen_by))
    return kept[place < config.num_candidates]


def _predict_chunk(
    valuer: Valuer,
    state: Any,
    requests: DecodeRequests,
    ad_table: AdTable,
    trie: Trie,
    pairs: tuple[Ints, Ints],
    weights: FinalValueWeights,
) -> Floats:
    """Predict the final values of a bounded number of pairs."""
    row, rank = pairs
    ts = requests.ts_B[row]
    device = valuer.value_mean.device
    version = ad_table.version_of(ts, rank)
    features = torch.from_numpy(ad_table.features_of(ts, rank, version)).to(device)
    paths = trie.paths_of(torch.from_numpy(rank)).to(device)
    outcome = valuer.item_values(state, torch.from_numpy(row).to(device), paths, features)
    p_ctr, p_cvr, p_neg = (
        value.double().cpu().numpy()
        for value in (outcome.p_ctr_N, outcome.p_cvr_N, outcome.p_neg_N)
    )
    price = ecpm(ad_table.bid_type_V[version], ad_table.bid_micros_V[version], p_ctr, p_cvr)
    shown = np.zeros(row.size) if requests.shown is None else requests.shown.of(row, rank)
    return final_value(price, p_ctr, p_cvr, p_neg, shown / _FATIGUE_SCALE, weights)
