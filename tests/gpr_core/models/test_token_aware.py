"""Tests of layers with own parameters per token kind."""

import pytest
import torch

from gpr_core.models.token_aware import (
    NUM_KINDS,
    TokenAwareFeedForward,
    TokenAwareLinear,
    TokenAwareNorm,
    group_tokens,
    pack,
    unpack,
)
from gpr_core.support.seeding import seed_global_torch
from tests.timelines import make_kinds

WIDTH = 4


def make_tokens(*users):
    """Make groups and packed random tokens."""
    seed_global_torch(0, "tokens")
    groups = group_tokens(make_kinds(*users))
    return groups, torch.randn(len(groups.source_G), WIDTH)


def test_tokens_are_grouped_by_kind_in_order_and_padding_is_dropped():
    groups = group_tokens(make_kinds("UOEI", "UE"))
    assert groups.source_G.tolist() == [0, 4, 1, 2, 5, 3]
    assert groups.kind_G.tolist() == [0, 0, 1, 2, 2, 3]
    assert groups.sizes == (2, 1, 2, 1)
    assert groups.target_N.tolist() == [0, 2, 3, 5, 1, 4, 6, 6]


def test_unpacking_puts_tokens_back_and_zeros_on_padding():
    groups = group_tokens(make_kinds("EU", "O"))
    x_BTD = torch.tensor([[[1.0], [2.0]], [[3.0], [9.0]]])
    packed_GD = pack(x_BTD, groups)
    assert packed_GD.tolist() == [[2.0], [3.0], [1.0]]
    assert unpack(packed_GD, groups).tolist() == [[[1.0], [2.0]], [[3.0], [0.0]]]


def test_each_kind_has_its_own_scale_and_shift():
    groups = group_tokens(make_kinds("UI"))
    norm = TokenAwareNorm(2, is_token_aware=True)
    with torch.no_grad():
        norm.scale_SD[3], norm.shift_SD[3] = 2.0, 5.0
    # Normalized, (-1, 1) stays; the item is scaled by 2 and shifted by 5.
    out_GD = norm(torch.tensor([[-1.0, 1.0], [-1.0, 1.0]]), groups)
    torch.testing.assert_close(out_GD, torch.tensor([[-1.0, 1.0], [3.0, 7.0]]), atol=1e-4, rtol=0)


def test_each_kind_has_its_own_linear_layer():
    groups = group_tokens(make_kinds("EU"))
    linear = TokenAwareLinear(1)
    with torch.no_grad():
        linear.weight_SDD[:, 0, 0] = torch.tensor([10.0, 20.0, 30.0, 40.0])
        linear.bias_SD[:, 0] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert linear(torch.tensor([[1.0], [1.0]]), groups).tolist() == [[11.0], [33.0]]


def test_the_feed_forward_network_is_swiglu():
    groups = group_tokens(make_kinds("U"))
    network = TokenAwareFeedForward(1, 1, is_token_aware=True)
    with torch.no_grad():
        network.inner_SDD[0] = torch.tensor([[2.0, 3.0]])
        network.outer_SDD[0] = torch.tensor([[5.0]])
    expected = 2.0 * torch.sigmoid(torch.tensor(2.0)) * 3.0 * 5.0
    torch.testing.assert_close(network(torch.ones(1, 1), groups), expected.view(1, 1))


@pytest.mark.parametrize("layer", ["norm", "feed forward"])
def test_identical_parameters_of_all_kinds_are_one_shared_copy(layer):
    groups, x_GD = make_tokens("UOEIOE", "UEI")

    def make(is_token_aware):
        if layer == "norm":
            return TokenAwareNorm(WIDTH, is_token_aware=is_token_aware)
        return TokenAwareFeedForward(WIDTH, 2, is_token_aware=is_token_aware)

    shared, aware = make(False), make(True)
    with torch.no_grad():
        for one, own in zip(shared.parameters(), aware.parameters(), strict=True):
            one.normal_()
            own.copy_(one.expand_as(own))
    torch.testing.assert_close(aware(x_GD, groups), shared(x_GD, groups), atol=1e-6, rtol=0)
    assert sum(own.numel() for own in aware.parameters()) == NUM_KINDS * sum(
        one.numel() for one in shared.parameters()
    )


def test_a_batch_without_some_kind_works_and_gives_that_kind_no_gradient():
    groups, x_GD = make_tokens("UO")
    network = TokenAwareFeedForward(WIDTH, 2, is_token_aware=True)
    network(x_GD, groups).sum().backward()
    per_kind = network.outer_SDD.grad.abs().sum(dim=(1, 2)) > 0
    assert per_kind.tolist() == [True, True, False, False]
