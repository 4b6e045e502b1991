"""How the tokens of a batch stand to one another, laid out for attention over packed tokens.

Users of about the same length are processed together as one bundle, and the queries of a bundle in
tiles, each against the keys up to the last one that any of its queries sees. Nothing here or in the
attention grows with the length that a batch is padded to.

Letters: B users, T tokens (as the last of two: keys), U users of one bundle, G packed tokens, P
pairs of a tile, flattened from [U, queries, keys].
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gpr_core.models.token_aware import TokenGroups

NUM_TIME_CLASSES = 64
_MINUTE_MS = 60_000
# Where a float64 keeps its exponent, and that of 1.
_EXPONENT_SHIFT, _EXPONENT_BIAS = 52, 1023
# A pair class is one index into one table: time class, then slot of the distance. All distances
# beyond the clip share one bias but take turns in several slots, because the gradient is summed
# slot by slot and a sum that is added to at every pair has to wait for itself.
_FAR_SLOTS = 16
# A tile of scores should stay in the cache of a core for all heads.
_PAIRS_PER_TILE = 1 << 15
_ROWS_PER_TILE = 96
# Computing this many pairs for nothing costs as much as another round of small operations.
_MOST_WASTED_PAIRS = 1 << 12


class Tile(NamedTuple):
    """Some queries of a bundle, and the keys they may see.

    Attributes:
        first: First query.
        last: One after the last query.
        end: Number of keys, counted from the first one.
        class_P: [U * (last - first) * end] int64, pair classes, query-major.
    """

    first: int
    last: int
    end: int
    class_P: Tensor


class Bundle(NamedTuple):
    """Users of about the same length.

    Attributes:
        row_UT: [U, T] int64, packed row of each token; behind the end of a user any row.
        is_padding_UT: [U, T] bool, True behind the end of a user; None if all are equally long.
        ts_UT: [U, T] float64, epoch ms.
        peers_UT: [U, T] int64, from `masks`.
        is_hidden_UT: [U, T] bool, True for tokens that only they themselves may see.
        tiles: Cover all queries.
    """

    row_UT: Tensor
    is_padding_UT: Tensor | None
    ts_UT: Tensor
    peers_UT: Tensor
    is_hidden_UT: Tensor
    tiles: tuple[Tile, ...]


class Relation(NamedTuple):
    """What attention and its bias need to know about the pairs of tokens of a batch.

    Attributes:
        bundles: Cover all users.
        slot_G: [G] int64, place of each packed token in the concatenated [U * T] grids of all
            bundles.
        num_slots: Size of these grids; a little more than G.
        max_distance: Distances beyond it share a class; at most the longest user.
    """

    bundles: tuple[Bundle, ...]
    slot_G: Tensor
    num_slots: int
    max_distance: int


def relate(ts_BT: Tensor, peers_BT: Tensor, groups: TokenGroups, max_distance: int) -> Relation:
    """Bundle users and classify their pairs by distance, time difference and visibility.

    Args:
        ts_BT: [B, T] int64, epoch ms.
        peers_BT: [B, T] int64, from `causal_peers` or `segment_hybrid_peers`: a token sees
            itself, what came before, and tokens of equal number.
        groups: Groups of the batch; padding is on the right.
        max_distance: Distances beyond it share a class.

    Returns:
        The relation, computed once for all blocks.

    Source:
        Specification 3.2 (bias).
    """
    row_BT = groups.target_N.view(groups.grid)
    num_tokens = len(groups.source_G)
    length_B = (row_BT < num_tokens).sum(dim=1).tolist()
    clip = min(max_distance, max(length_B) - 1)
    slot_TT = _distance_slots(max(length_B), clip, row_BT.device)
    bundles = []
    slot_G = torch.empty_like(groups.source_G)
    first = 0
    for users in _bundle_users(length_B):
        chosen_U = torch.tensor(users, device=row_BT.device)
        row_UT, ts_UT, peers_UT = (
            grid_BT[chosen_U, : length_B[users[0]]] for grid_BT in (row_BT, ts_BT, peers_BT)
        )
        is_real_UT = row_UT < num_tokens
        slot_G[row_UT[is_real_UT]] = first + torch.nonzero(is_real_UT.flatten())[:, 0]
        first += row_UT.numel()
        is_even = length_B[users[0]] == length_B[users[-1]]
        bundle = Bundle(
            row_UT.clamp(max=num_tokens - 1),
            None if is_even else ~is_real_UT,
            ts_UT.to(torch.float64),
            peers_UT,
            torch.zeros_like(is_real_UT),
            (),
        )
        bundles.append(bundle._replace(tiles=tuple(_tiles(bundle, slot_TT, clip))))
    return Relation(tuple(bundles), slot_G, first, clip)


def hide_keys(relation: Relation, is_hidden_G: Tensor) -> Relation:
    """Make some tokens invisible to all others.

    Args:
        relation: Classes of all pairs.
        is_hidden_G: [G] bool, packed; a hidden token still sees itself, so that no row is empty.

    Returns:
        The changed relation.
    """
    invisible = num_pair_classes(relation.max_distance) - 1
    bundles = []
    for bundle in relation.bundles:
        is_hidden_UT = is_hidden_G[bundle.row_UT]
        tiles = []
        for tile in bundle.tiles:
            class_UTT = tile.class_P.view(len(is_hidden_UT), -1, tile.end)
            position_T = torch.arange(tile.end, device=is_hidden_UT.device)
            is_other_TT = position_T[tile.first : tile.last, None] != position_T
            hidden_UTT = is_hidden_UT[:, None, : tile.end] & is_other_TT
            hidden_P = class_UTT.masked_fill(hidden_UTT, invisible).flatten()
            tiles.append(tile._replace(class_P=hidden_P))
        bundles.append(bundle._replace(is_hidden_UT=is_hidden_UT, tiles=tuple(tiles)))
    return relation._replace(bundles=tuple(bundles))


def num_pair_classes(max_distance: int) -> int:
    """Count the pair classes; the last one is that of pairs that may not see each other.

    Args:
        max_distance: Of the relation.

    Returns:
        The number of classes.
    """
    return NUM_TIME_CLASSES * len(slot_distances(max_distance)) + 1


def slot_distances(max_distance: int) -> list[int]:
    """Give the signed distance that each slot stands for.

    Args:
        max_distance: Of the relation.

    Returns:
        Query position minus key position, one per slot.
    """
    return [*range(-max_distance, max_distance), *[max_distance] * _FAR_SLOTS]


def time_classes(delta_ms: Tensor) -> Tensor:
    """Classify time differences on a logarithmic scale.

    Args:
        delta_ms: Query time minus key time, float64, ms; overwritten.

    Returns:
        int64 of the same shape: floor(log2(1 + |dt| / 60 s)), clipped to 31, plus 32 if the key
        lies in the future of the query (bidirectional pairs have both signs).
    """
    half = NUM_TIME_CLASSES // 2
    is_future = delta_ms < 0
    # Whole minutes are exact in float64, and so are powers of two: the exponent bits of the number
    # are the class, without the rounding of a logarithm.
    bits = delta_ms.abs_().div_(_MINUTE_MS).add_(1).view(torch.int64)
    classes = bits.bitwise_right_shift_(_EXPONENT_SHIFT).sub_(_EXPONENT_BIAS)
    classes.clamp_(max=half - 1)
    return classes.add_(is_future, alpha=half)


def visible_pairs(bundle: Bundle) -> Tensor:
    """Say which token of a bundle may see which, as it is defined.

    Args:
        bundle: Users.

    Returns:
        [U, T, T] bool, True where query i (second axis) may see key j (third axis).
    """
    position_T = torch.arange(bundle.row_UT.shape[1], device=bundle.row_UT.device)
    before_TT = position_T[:, None] >= position_T
    is_other_TT = position_T[:, None] != position_T
    peer_UTT = bundle.peers_UT[:, :, None] == bundle.peers_UT[:, None, :]
    return (before_TT | peer_UTT) & ~(bundle.is_hidden_UT[:, None, :] & is_other_TT)


def _bundle_users(length_B: Sequence[int]) -> Iterator[list[int]]:
    """Put users of about the same length together, the longest one first; skip empty ones."""
    order_B = sorted(range(len(length_B)), key=lambda user: -length_B[user])
    users: list[int] = []
    wasted = 0
    for user in order_B:
        if not length_B[user]:
            break
        longest = length_B[users[0]] if users else length_B[user]
        wasted += longest**2 - length_B[user] ** 2
        pairs = (len(users) + 1) * longest * min(longest, _ROWS_PER_TILE)
        if users and (wasted > _MOST_WASTED_PAIRS or pairs > _PAIRS_PER_TILE):
            yield users
            users, wasted = [], 0
        users.append(user)
    if users:
        yield users


def _distance_slots(longest: int, clip: int, device: torch.device) -> Tensor:
    """Slot of the distance between any two positions: [T, T] int64."""
    position_T = torch.arange(longest, device=device)
    distance_TT = position_T[:, None] - position_T
    far_TT = 2 * clip + distance_TT % _FAR_SLOTS
    return torch.where(distance_TT >= clip, far_TT, (distance_TT + clip).clamp(min=0))


def _tiles(bundle: Bundle, slot_TT: Tensor, clip: int) -> Iterator[Tile]:
    """Cut a bundle into tiles and classify their pairs."""
    users, length = bundle.row_UT.shape
    invisible = num_pair_classes(clip) - 1
    num_slots = len(slot_distances(clip))
    last_peer_T = bundle.peers_UT.amax(dim=0).tolist()
    first = 0
    while first < length:
        rows = max(16, min(_ROWS_PER_TILE, _PAIRS_PER_TILE // (users * (first + 1))))
        last = min(length, first + rows)
        end = min(length, max(last, max(last_peer_T[first:last]) + 1))
        delta_UTT = bundle.ts_UT[:, first:last, None] - bundle.ts_UT[:, None, :end]
        class_UTT = time_classes(delta_UTT).mul_(num_slots).add_(slot_TT[first:last, :end])
        # Everything before the tile came before its queries.
        position_T = torch.arange(first, end, device=slot_TT.device)
        before_TT = position_T[: last - first, None] >= position_T
        peers_UT = bundle.peers_UT
        peer_UTT = peers_UT[:, first:last, None] == peers_UT[:, None, first:end]
        class_UTT[:, :, first:].masked_fill_(~(peer_UTT | before_TT), invisible)
        yield Tile(first, last, end, class_UTT.flatten())
        first = last
