"""Tests of how the tokens of a batch stand to one another."""

import pytest
import torch

from gpr_core.models.masks import causal_peers, segment_hybrid_mask, segment_hybrid_peers
from gpr_core.models.relation import (
    hide_keys,
    num_pair_classes,
    relate,
    slot_distances,
    time_classes,
    visible_pairs,
)
from gpr_core.models.token_aware import group_tokens
from gpr_core.support.seeding import torch_stream
from tests.timelines import make_kinds, make_segments

MINUTE_MS = 60_000


def draw_kinds(*lengths):
    """Draw timelines of given lengths."""
    generator = torch_stream(0, "relation-kinds")
    kinds = torch.randint(0, 4, (len(lengths), max(lengths)), generator=generator)
    is_padding = torch.arange(max(lengths)) >= torch.tensor(lengths)[:, None]
    return kinds.masked_fill(is_padding, 4)


def relation_of(kind_BT, max_distance=8):
    """Relate the tokens of a batch."""
    ts_BT = torch.arange(kind_BT.shape[1]).expand_as(kind_BT) * MINUTE_MS
    peers_BT = segment_hybrid_peers(kind_BT, make_segments(kind_BT))
    return relate(ts_BT, peers_BT, group_tokens(kind_BT), max_distance)


def visible_by_tile(relation, bundle):
    """Visibility of all pairs of a bundle, read from the classes of its tiles."""
    users, length = bundle.row_UT.shape
    visible_UTT = torch.zeros(users, length, length, dtype=torch.bool)
    for tile in bundle.tiles:
        class_UTT = tile.class_P.view(users, tile.last - tile.first, tile.end)
        is_seen_UTT = class_UTT < num_pair_classes(relation.max_distance) - 1
        visible_UTT[:, tile.first : tile.last, : tile.end] = is_seen_UTT
    return visible_UTT


def test_tiles_see_exactly_what_the_segment_hybrid_mask_shows():
    kind_BT = draw_kinds(200, 3, 77, 199, 1, 76)
    mask_BTT = segment_hybrid_mask(kind_BT, make_segments(kind_BT))
    relation = relation_of(kind_BT)
    source_G = group_tokens(kind_BT).source_G
    seen_users = []
    for bundle in relation.bundles:
        visible_UTT = visible_by_tile(relation, bundle)
        assert torch.equal(visible_UTT, visible_pairs(bundle))
        for row_T, visible_TT in zip(bundle.row_UT, visible_UTT, strict=True):
            user = int(source_G[row_T[0]]) // kind_BT.shape[1]
            length = int((kind_BT[user] < 4).sum())
            places_T = user * kind_BT.shape[1] + torch.arange(length)
            assert torch.equal(source_G[row_T[:length]], places_T)
            assert torch.equal(visible_TT[:length, :length], mask_BTT[user, :length, :length])
            seen_users.append(user)
    assert sorted(seen_users) == list(range(6))


def test_users_of_about_the_same_length_share_a_bundle():
    relation = relation_of(draw_kinds(60, 3, 50, 59, 4, 55))
    assert [tuple(bundle.row_UT.shape) for bundle in relation.bundles] == [(4, 60), (2, 4)]


def test_an_empty_user_is_in_no_bundle():
    relation = relation_of(make_kinds("UOE", "..."))
    assert [tuple(bundle.row_UT.shape) for bundle in relation.bundles] == [(1, 3)]


def test_every_token_has_its_own_slot():
    kind_BT = draw_kinds(60, 3, 50, 59)
    relation = relation_of(kind_BT)
    rows_N = torch.cat([bundle.row_UT.flatten() for bundle in relation.bundles])
    assert relation.num_slots == len(rows_N)
    assert torch.equal(rows_N[relation.slot_G], torch.arange(172))


@pytest.mark.parametrize("longer", [0, 5, 300])
def test_padding_adds_no_pairs_to_compute(longer):
    kind_BT = draw_kinds(100, 90)
    padded_BT = torch.nn.functional.pad(kind_BT, (0, longer), value=4)
    tiles, padded = (
        [tile for bundle in relation_of(kinds).bundles for tile in bundle.tiles]
        for kinds in (kind_BT, padded_BT)
    )
    for one, two in zip(tiles, padded, strict=True):
        assert torch.equal(one.class_P, two.class_P)


def test_time_classes_are_logarithmic_and_signed():
    minutes = torch.tensor([0.0, 1, 3, 7, 60 * 24 * 365], dtype=torch.float64)
    # floor(log2(1 + minutes)) of the differences 0, 1, 3, 7 and one year.
    assert time_classes(minutes * MINUTE_MS).tolist() == [0, 1, 2, 3, 19]
    assert time_classes(-minutes * MINUTE_MS).tolist() == [0, 33, 34, 35, 51]


def test_time_classes_change_exactly_at_whole_minutes():
    delta = [0, MINUTE_MS - 1, MINUTE_MS, 3 * MINUTE_MS - 1, 3 * MINUTE_MS]
    assert time_classes(torch.tensor(delta, dtype=torch.float64)).tolist() == [0, 0, 1, 1, 2]
    large = [(2**20 - 1) * MINUTE_MS - 1, (2**20 - 1) * MINUTE_MS, 2**62]
    assert time_classes(torch.tensor(large, dtype=torch.float64)).tolist() == [19, 20, 31]


def test_distances_beyond_the_clip_take_turns_in_slots_of_one_distance():
    kind_BT = torch.full((1, 40), 3)
    ts_BT = torch.zeros_like(kind_BT)
    relation = relate(ts_BT, causal_peers(kind_BT), group_tokens(kind_BT), max_distance=2)
    [bundle] = relation.bundles
    [tile] = bundle.tiles
    slots_TT = tile.class_P.view(40, 40)
    assert slots_TT[3, :4].tolist() == [4 + 3, 4 + 2, 3, 2]
    assert len(set(slots_TT[39, :16].tolist())) == 16
    assert slot_distances(2)[:5] == [-2, -1, 0, 1, 2]
    assert set(slot_distances(2)[4:]) == {2}
    assert slots_TT[0, 1] == num_pair_classes(2) - 1


def test_a_hidden_token_is_seen_by_itself_only():
    kind_BT = torch.full((1, 3), 3)
    relation = relate(
        torch.zeros_like(kind_BT), causal_peers(kind_BT), group_tokens(kind_BT), max_distance=2
    )
    hidden = hide_keys(relation, torch.tensor([False, True, False]))
    [bundle] = hidden.bundles
    expected = [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert visible_by_tile(hidden, bundle)[0].int().tolist() == expected
    assert visible_pairs(bundle)[0].int().tolist() == expected
