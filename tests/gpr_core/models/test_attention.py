"""Tests of attention and of its bias."""

import math

import pytest
import torch

from gpr_core.models.attention import (
    RelativeBias,
    attention,
    hide_keys,
    merge_heads,
    relate,
    split_heads,
)
from gpr_core.support.seeding import torch_stream

MINUTE_MS = 60_000


def draw(*shape, name="x"):
    """Draw a tensor that wants a gradient."""
    return torch.randn(*shape, generator=torch_stream(0, name)).requires_grad_()


def test_two_keys_are_mixed_by_their_scores():
    query = torch.tensor([[[[1.0, 0.0]]]])
    key = torch.tensor([[[[math.sqrt(2) * math.log(3), 0.0], [0.0, 5.0]]]])
    value = torch.tensor([[[[4.0], [8.0]]]])
    mask = torch.ones(1, 2, dtype=torch.bool)
    # Scores log(3) and 0 give weights 3/4 and 1/4: 3/4 * 4 + 1/4 * 8 = 5.
    torch.testing.assert_close(attention(query, key, value, mask=mask), torch.tensor([[[[5.0]]]]))


@pytest.mark.parametrize("kind", ["bool", "bias", "learned bias"])
def test_the_fast_path_equals_the_reference_in_values_and_gradients(kind):
    query, key, value = (draw(2, 3, 5, 4, name=name) for name in "qkv")
    visible = torch.ones(5, 5, dtype=torch.bool).tril()
    bias = draw(2, 3, 5, 5, name="bias").detach().masked_fill(~visible, float("-inf"))
    mask = visible if kind == "bool" else bias.requires_grad_(kind == "learned bias")
    inputs = [query, key, value] + [mask] * mask.requires_grad
    results = []
    for use_reference in (True, False):
        out = attention(query, key, value, mask=mask, use_reference=use_reference)
        upstream = torch.randn(out.shape, generator=torch_stream(0, "upstream"))
        results.append([out, *torch.autograd.grad(out, inputs, upstream)])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_splitting_and_merging_heads_are_inverse():
    x_BTD = torch.arange(12.0).view(1, 3, 4)
    assert split_heads(x_BTD, 2)[0, 1].tolist() == [[2, 3], [6, 7], [10, 11]]
    assert torch.equal(merge_heads(split_heads(x_BTD, 2)), x_BTD)


def test_time_classes_are_logarithmic_and_signed():
    minutes = [0, 1, 3, 7, 60 * 24 * 365]
    ts_BT = torch.tensor([[minute * MINUTE_MS for minute in minutes]])
    relation = relate(ts_BT, torch.ones(1, 5, 5, dtype=torch.bool), max_distance=2)
    # floor(log2(1 + minutes)) of the differences 0, 1, 3, 7 and one year, to the first token.
    assert relation.time_BTT[0, :, 0].tolist() == [0, 1, 2, 3, 19]
    assert relation.time_BTT[0, 0, :].tolist() == [0, 33, 34, 35, 51]


def test_time_classes_change_exactly_at_whole_minutes():
    ts_BT = torch.tensor([[0, MINUTE_MS - 1, MINUTE_MS, 3 * MINUTE_MS - 1, 3 * MINUTE_MS]])
    relation = relate(ts_BT, torch.ones(1, 5, 5, dtype=torch.bool), max_distance=2)
    assert relation.time_BTT[0, :, 0].tolist() == [0, 0, 1, 1, 2]


def test_distances_are_clipped_and_invisible_pairs_have_their_own_class():
    visible_BTT = torch.ones(1, 4, 4, dtype=torch.bool).tril()
    relation = relate(torch.zeros(1, 4, dtype=torch.int64), visible_BTT, max_distance=2)
    assert relation.distance_TT.tolist() == [
        [2, 1, 0, 0],
        [3, 2, 1, 0],
        [4, 3, 2, 1],
        [4, 4, 3, 2],
    ]
    assert relation.time_BTT[0].tolist() == [
        [0, 64, 64, 64],
        [0, 0, 64, 64],
        [0, 0, 0, 64],
        [0, 0, 0, 0],
    ]


def test_each_head_starts_with_its_own_preference_for_recent_tokens():
    bias = RelativeBias(num_heads=2, max_distance=1)
    log2 = math.log(2)
    expected = torch.tensor([[-2 * log2, 0.0, -2 * log2], [-log2, 0.0, -log2]])
    torch.testing.assert_close(bias.distance_HC.detach(), expected)
    assert not bias.time_HC.any()


def test_the_bias_adds_distance_and_time_and_hides_the_invisible():
    bias = RelativeBias(num_heads=2, max_distance=1)
    with torch.no_grad():
        bias.distance_HC[:] = torch.tensor([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])
        bias.time_HC[0, 0], bias.time_HC[0, 1] = 0.5, 0.25
    ts_BT = torch.tensor([[0, MINUTE_MS]])
    visible_BTT = torch.tensor([[[True, False], [True, True]]])
    bias_BHTT = bias(relate(ts_BT, visible_BTT, max_distance=1))
    hidden = float("-inf")
    assert bias_BHTT[0].tolist() == [[[2.5, hidden], [3.25, 2.5]], [[20.0, hidden], [30.0, 20.0]]]


def test_the_bias_learns_from_visible_pairs_only():
    bias = RelativeBias(num_heads=1, max_distance=1)
    torch.nn.init.zeros_(bias.distance_HC)
    relation = relate(
        torch.zeros(1, 2, dtype=torch.int64),
        torch.tensor([[[True, False], [True, True]]]),
        max_distance=1,
    )
    query = torch.ones(1, 1, 2, 1)
    value = torch.tensor([[[[0.0], [1.0]]]])
    attention(query, query, value, mask=bias(relation)).sum().backward()
    # Only the second query has a choice: d/db of softmax weights 1/2, 1/2 times values 0, 1.
    assert bias.distance_HC.grad.tolist() == [[0.0, 0.25, -0.25]]


def test_a_hidden_token_is_seen_by_itself_only():
    visible_BTT = torch.ones(1, 3, 3, dtype=torch.bool).tril()
    relation = relate(torch.zeros(1, 3, dtype=torch.int64), visible_BTT, max_distance=2)
    hidden = hide_keys(relation, torch.tensor([[False, True, False]]))
    is_seen_TT = RelativeBias(1, 2)(hidden)[0, 0].isfinite()
    assert is_seen_TT.int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
