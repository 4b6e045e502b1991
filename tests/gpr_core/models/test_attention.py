"""Tests of attention over padded rows."""

import math

import pytest
import torch

from gpr_core.models.attention import attention, merge_heads, split_heads
from gpr_core.support.seeding import torch_stream


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
