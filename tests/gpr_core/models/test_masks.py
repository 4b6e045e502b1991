"""Tests of visibility, on an example worked out by hand."""

import pytest
import torch

from gpr_core.models.masks import (
    bidirectional_peers,
    causal_mask,
    causal_peers,
    memory_mask,
    segment_hybrid_mask,
    segment_hybrid_peers,
)
from tests.timelines import make_kinds, make_segments

# position      0 1 2 3 4 5 6 7
WORD = "UOEOIOEI"
# segment       0 0 0 1 1 1 1 2


def rows(mask_BTT, user=0):
    """Write a mask as one string of 0 and 1 per query."""
    return ["".join("01"[int(seen)] for seen in row) for row in mask_BTT[user]]


def test_segments_count_earlier_requests():
    assert make_segments(make_kinds(WORD)).tolist() == [[0, 0, 0, 1, 1, 1, 1, 2]]


def test_prompt_tokens_of_one_request_see_each_other_and_items_only_the_past():
    kind_BT = make_kinds(WORD)
    assert rows(segment_hybrid_mask(kind_BT, make_segments(kind_BT))) == [
        "11100000",  # U: whole first prompt
        "11100000",  # O
        "11100000",  # E: first readout, last token of its segment
        "11110110",  # O: past, and the prompt of its own request around the item
        "11111000",  # I: past only
        "11111110",  # O
        "11111110",  # E: second readout
        "11111111",  # I
    ]


def test_the_causal_mask_is_a_lower_triangle():
    expected = ["1000", "1100", "1110", "1111"]
    assert rows(causal_mask(make_kinds("UOEI"))) == expected


def test_with_a_single_request_the_mask_is_the_corrected_equation_2():
    kind_BT = make_kinds("UOIOE")
    mask_BTT = segment_hybrid_mask(kind_BT, make_segments(kind_BT))
    assert rows(mask_BTT) == ["11011", "11011", "11100", "11111", "11111"]


def test_padding_sees_only_itself_and_is_seen_by_nobody_else():
    kind_BT = make_kinds("UE", "UOEI")
    mask_BTT = segment_hybrid_mask(kind_BT, make_segments(kind_BT))
    assert rows(mask_BTT) == ["1100", "1100", "0010", "0001"]


@pytest.mark.parametrize("word", [WORD, "UOIOE", "OOIEIOIIEO", "IUEEOOI..."])
def test_peers_say_the_same_as_the_masks(word):
    kind_BT = make_kinds(word, "UOE")
    seg_BT = make_segments(kind_BT)
    position_T = torch.arange(kind_BT.shape[1])
    is_real_BT = kind_BT != 4
    for mask_BTT, peers_BT in (
        (causal_mask(kind_BT), causal_peers(kind_BT)),
        (segment_hybrid_mask(kind_BT, seg_BT), segment_hybrid_peers(kind_BT, seg_BT)),
    ):
        before_TT = position_T[:, None] >= position_T
        visible_BTT = before_TT | (peers_BT[:, :, None] == peers_BT[:, None, :])
        for user, is_real_T in enumerate(is_real_BT):
            pairs = (user, is_real_T[:, None] & is_real_T)
            assert torch.equal(visible_BTT[user][pairs[1]], mask_BTT[user][pairs[1]])


def test_the_number_of_peers_is_the_last_one_of_them():
    kind_BT = make_kinds(WORD)
    assert segment_hybrid_peers(kind_BT, make_segments(kind_BT)).tolist() == [
        [2, 2, 2, 6, -5, 6, 6, -8]
    ]


def test_memory_is_the_latest_tokens_and_the_user_token_in_force():
    kind_BT = make_kinds("UOEUOOEI")
    visible_MT = memory_mask(kind_BT, torch.tensor([0, 0]), torch.tensor([2, 6]), memory_tokens=2)
    assert rows(visible_MT[None]) == ["11100000", "00010110"]


def test_a_long_memory_is_everything_up_to_the_readout():
    visible_MT = memory_mask(make_kinds("UOEI"), torch.tensor([0]), torch.tensor([2]), 64)
    assert rows(visible_MT[None]) == ["1110"]


def test_bidirectional_peers_let_all_valid_tokens_see_one_another():
    peers_BT = bidirectional_peers(make_kinds("UOE", "E"))
    assert peers_BT.tolist() == [[2, 2, 2], [0, -2, -3]]
