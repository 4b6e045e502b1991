"""Tests of self-attention over packed tokens and of its bias."""

import math

import pytest
import torch

from gpr_core.models.attention import attention
from gpr_core.models.masks import causal_peers, segment_hybrid_mask, segment_hybrid_peers
from gpr_core.models.packed_attention import RelativeBias, packed_attention
from gpr_core.models.relation import hide_keys, relate
from gpr_core.models.token_aware import group_tokens, pack, unpack
from gpr_core.support.seeding import torch_stream
from tests.timelines import make_segments

MINUTE_MS = 60_000
HEADS, WIDTH = 2, 8
LENGTHS = (130, 3, 45, 128, 1, 44)


def draw(*shape, name="x"):
    """Draw a tensor that wants a gradient."""
    return torch.randn(*shape, generator=torch_stream(0, name)).requires_grad_()


def make_inputs(*lengths, pad_to=None, mask="segment_hybrid", max_distance=8):
    """Draw timelines: kinds, times, groups and relation."""
    generator = torch_stream(0, "timelines")
    shape = (len(lengths), max(lengths))
    kind_BT = torch.randint(0, 4, shape, generator=generator)
    ts_BT = torch.randint(0, 90 * MINUTE_MS, shape, generator=generator).cumsum(1)
    more = (0, (pad_to or shape[1]) - shape[1])
    kind_BT, ts_BT = (torch.nn.functional.pad(grid, more, value=4) for grid in (kind_BT, ts_BT))
    is_padding_BT = torch.arange(kind_BT.shape[1]) >= torch.tensor(lengths)[:, None]
    kind_BT, ts_BT = kind_BT.masked_fill(is_padding_BT, 4), ts_BT.masked_fill(is_padding_BT, 0)
    groups = group_tokens(kind_BT)
    peers_BT = causal_peers(kind_BT)
    if mask == "segment_hybrid":
        peers_BT = segment_hybrid_peers(kind_BT, make_segments(kind_BT))
    return kind_BT, ts_BT, groups, relate(ts_BT, peers_BT, groups, max_distance)


def make_bias(max_distance=8):
    """Make a bias with all parameters random."""
    bias = RelativeBias(HEADS, max_distance)
    with torch.no_grad():
        bias.time_HC.copy_(draw(*bias.time_HC.shape, name="time"))
        bias.distance_HC.copy_(draw(*bias.distance_HC.shape, name="distance"))
    return bias


def values_and_gradients(qkv_GX, bias, relation, *, use_reference=False):
    """Attend; give values and the gradients of inputs and of both bias tables."""
    out_GD = packed_attention(qkv_GX, bias, relation, use_reference=use_reference)
    upstream_GD = draw(*out_GD.shape, name="upstream").detach()
    return [out_GD, *torch.autograd.grad(out_GD, [qkv_GX, *bias.parameters()], upstream_GD)]


def written_out(qkv_GX, bias, kind_BT, ts_BT):
    """Attend over a padded grid with the plain mask, one pair of tokens at a time."""
    groups = group_tokens(kind_BT)
    users, length = kind_BT.shape
    longest = bias.distance_HC.shape[1] // 2
    bias_BHTT = torch.empty(users, HEADS, length, length)
    for i in range(length):
        for j in range(length):
            distance = max(-longest, min(longest, i - j)) + longest
            for user in range(users):
                delta = int(ts_BT[user, i] - ts_BT[user, j])
                minutes = abs(delta) // MINUTE_MS
                time = int(math.log2(1 + minutes)) + 32 * (delta < 0)
                bias_BHTT[user, :, i, j] = bias.distance_HC[:, distance] + bias.time_HC[:, time]
    visible_BTT = segment_hybrid_mask(kind_BT, make_segments(kind_BT))
    mask_BHTT = bias_BHTT.masked_fill(~visible_BTT[:, None], -math.inf)
    grid_BTX = unpack(qkv_GX, groups)
    query, key, value = grid_BTX.view(users, length, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
    out_BHTE = attention(query, key, value, mask=mask_BHTT, use_reference=True)
    return pack(out_BHTE.transpose(1, 2).flatten(2), groups)


@pytest.mark.parametrize("use_reference", [True, False])
def test_attention_is_the_written_formula(use_reference):
    kind_BT, ts_BT, groups, relation = make_inputs(13, 9, 1, max_distance=4)
    qkv_GX, bias = draw(len(groups.source_G), 3 * WIDTH), make_bias(max_distance=4)
    found = packed_attention(qkv_GX, bias, relation, use_reference=use_reference)
    torch.testing.assert_close(found, written_out(qkv_GX, bias, kind_BT, ts_BT))


@pytest.mark.parametrize("mask", ["segment_hybrid", "causal"])
@pytest.mark.parametrize("max_distance", [1, 8, 500])
def test_the_fast_path_equals_the_reference_in_values_and_gradients(mask, max_distance):
    _, _, groups, relation = make_inputs(*LENGTHS, mask=mask, max_distance=max_distance)
    qkv_GX, bias = draw(len(groups.source_G), 3 * WIDTH), make_bias(max_distance)
    expected = values_and_gradients(qkv_GX, bias, relation, use_reference=True)
    found = values_and_gradients(qkv_GX, bias, relation)
    assert any(bundle.is_padding_UT is not None for bundle in relation.bundles)
    assert max(len(bundle.tiles) for bundle in relation.bundles) > 1
    for one, two in zip(expected, found, strict=True):
        torch.testing.assert_close(two, one, atol=2e-5, rtol=1e-5)


def test_the_fast_path_equals_the_reference_when_tokens_are_hidden():
    _, _, groups, relation = make_inputs(20, 19, 4)
    is_hidden_G = torch.arange(len(groups.source_G)) % 3 == 0
    relation = hide_keys(relation, is_hidden_G)
    qkv_GX, bias = draw(len(groups.source_G), 3 * WIDTH), make_bias()
    expected = values_and_gradients(qkv_GX, bias, relation, use_reference=True)
    for one, two in zip(expected, values_and_gradients(qkv_GX, bias, relation), strict=True):
        torch.testing.assert_close(two, one, atol=1e-5, rtol=1e-5)


def test_gradients_are_those_of_finite_differences():
    _, _, groups, relation = make_inputs(6, 5, 1, max_distance=2)
    bias = make_bias(max_distance=2).double()
    qkv_GX = draw(len(groups.source_G), 3 * 4).detach().double().requires_grad_()

    def attend(qkv_GX, distance_HC, time_HC):
        changed = RelativeBias(HEADS, 2)
        del changed.distance_HC, changed.time_HC
        changed.distance_HC, changed.time_HC = distance_HC, time_HC
        return packed_attention(qkv_GX, changed, relation)

    tables = [table.detach().requires_grad_() for table in (bias.distance_HC, bias.time_HC)]
    assert torch.autograd.gradcheck(attend, (qkv_GX, *tables))


@pytest.mark.parametrize("pad_to", [131, 325])
def test_padding_changes_no_bit(pad_to):
    *_, groups, relation = make_inputs(*LENGTHS)
    *_, padded = make_inputs(*LENGTHS, pad_to=pad_to)
    qkv_GX, bias = draw(len(groups.source_G), 3 * WIDTH), make_bias()
    expected = values_and_gradients(qkv_GX, bias, relation)
    for one, two in zip(expected, values_and_gradients(qkv_GX, bias, padded), strict=True):
        assert torch.equal(one, two)


def test_equal_inputs_give_equal_bytes():
    *_, groups, relation = make_inputs(*LENGTHS)
    qkv_GX, bias = draw(len(groups.source_G), 3 * WIDTH), make_bias()
    first, second = (values_and_gradients(qkv_GX, bias, relation) for _ in range(2))
    for one, two in zip(first, second, strict=True):
        assert torch.equal(one, two)


def test_nothing_passes_between_users():
    kind_BT, _, groups, relation = make_inputs(*LENGTHS)
    qkv_GX, bias = draw(len(groups.source_G), 3 * WIDTH), make_bias()
    user_G = groups.source_G // kind_BT.shape[1]
    out_GD = packed_attention(qkv_GX, bias, relation)
    for user in range(len(LENGTHS)):
        is_own_G = user_G == user
        [gradient_GX] = torch.autograd.grad(out_GD[is_own_G].sum(), qkv_GX, retain_graph=True)
        assert not gradient_GX[~is_own_G].any()
        others = torch.where(is_own_G[:, None], qkv_GX, 1e3)
        assert torch.equal(packed_attention(others, bias, relation)[is_own_G], out_GD[is_own_G])


def test_nothing_passes_to_earlier_segments():
    kind_BT, _, groups, relation = make_inputs(40)
    qkv_GX, bias = draw(40, 3 * WIDTH), make_bias()
    segment_G = pack(make_segments(kind_BT)[..., None], groups)[:, 0]
    [gradient_GX] = torch.autograd.grad(
        packed_attention(qkv_GX, bias, relation)[segment_G < 3].sum(), qkv_GX
    )
    assert gradient_GX[segment_G < 3].any()
    assert not gradient_GX[segment_G >= 3].any()


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
    kind_BT = torch.full((1, 2), 3)
    ts_BT = torch.tensor([[0, MINUTE_MS]])
    relation = relate(ts_BT, causal_peers(kind_BT), group_tokens(kind_BT), max_distance=1)
    [bundle] = relation.bundles
    hidden = -math.inf
    expected = [[[2.5, hidden], [3.25, 2.5]], [[20.0, hidden], [30.0, 20.0]]]
    assert bias.by_pair(bundle)[:, 0].tolist() == expected
    table_HC = bias.by_pair_class(relation.max_distance)
    assert table_HC[:, bundle.tiles[0].class_P].view(2, 2, 2).tolist() == expected


def test_the_bias_learns_from_visible_pairs_only():
    bias = RelativeBias(num_heads=1, max_distance=1)
    torch.nn.init.zeros_(bias.distance_HC)
    kind_BT = torch.full((1, 2), 3)
    relation = relate(
        torch.zeros_like(kind_BT), causal_peers(kind_BT), group_tokens(kind_BT), max_distance=1
    )
    qkv_GX = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]])
    packed_attention(qkv_GX, bias, relation).sum().backward()
    # Only the second query has a choice: d/db of softmax weights 1/2, 1/2 times values 0, 1.
    assert bias.distance_HC.grad.tolist() == [[0.0, 0.25, -0.25]]


def pointwise_values_and_gradients(qkv_GX, bias, relation, *, use_reference):
    """Attend pointwise; give values and all gradients."""
    out_GD = packed_attention(
        qkv_GX, bias, relation, is_pointwise=True, use_reference=use_reference
    )
    upstream_GD = draw(*out_GD.shape, name="upstream").detach()
    return [out_GD, *torch.autograd.grad(out_GD, [qkv_GX, *bias.parameters()], upstream_GD)]


@pytest.mark.parametrize("mask", ["segment_hybrid", "causal"])
def test_pointwise_attention_agrees_with_its_reference(mask):
    *_, groups, relation = make_inputs(*LENGTHS, mask=mask)
    qkv_GX, bias = draw(len(groups.source_G), 3 * WIDTH), make_bias()
    fast = pointwise_values_and_gradients(qkv_GX, bias, relation, use_reference=False)
    plain = pointwise_values_and_gradients(qkv_GX, bias, relation, use_reference=True)
    for found, expected in zip(fast, plain, strict=True):
        assert found.isfinite().all()
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=1e-4)


def test_pointwise_weights_are_silu_of_each_visible_score():
    *_, groups, relation = make_inputs(3, mask="causal")
    qkv_GX, bias = draw(3, 3 * WIDTH), make_bias()
    out_BTD = unpack(packed_attention(qkv_GX, bias, relation, is_pointwise=True), groups)
    grid_TX = unpack(qkv_GX, groups)[0]
    query_TE, key_TE, value_TE = (part[:, : WIDTH // HEADS] for part in grid_TX.chunk(3, dim=1))
    table_TT = bias.by_pair(relation.bundles[0])[0, 0]
    expected_E = sum(
        torch.nn.functional.silu(query_TE[1] @ key_TE[seen] / 2.0 + table_TT[1, seen])
        * value_TE[seen]
        for seen in range(2)
    )
    torch.testing.assert_close(out_BTD[0, 1, : WIDTH // HEADS], expected_E)
