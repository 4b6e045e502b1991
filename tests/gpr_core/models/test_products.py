"""Tests of matrix products with their own gradients."""

import pytest
import torch
import torch.nn.functional as F

from gpr_core.models.products import multiply, swiglu_by_set
from gpr_core.support.matmul import fast_float32_matmul
from gpr_core.support.seeding import torch_stream


def draw(*shape, name="x"):
    """Draw a float64 tensor that wants a gradient."""
    generator = torch_stream(0, name)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()


def make_network(sizes, width=4, hidden=3):
    """Rows and weights of one network per set."""
    return (
        draw(sum(sizes), width),
        draw(len(sizes), width, 2 * hidden, name="inner"),
        draw(len(sizes), hidden, width, name="outer"),
    )


def written_out(x_GD, inner_SDX, outer_SXD, sizes):
    """Apply the networks as they are defined."""
    parts = []
    for idx, x_gD in enumerate(torch.split(x_GD, sizes)):
        gate, value = (x_gD @ inner_SDX[idx]).chunk(2, dim=1)
        parts.append((F.silu(gate) * value) @ outer_SXD[idx])
    return torch.cat(parts)


def test_multiply_is_linear_in_values_and_gradients():
    x_GD, weight_XD = draw(5, 4), draw(3, 4, name="weight")
    assert torch.equal(multiply(x_GD, weight_XD), F.linear(x_GD, weight_XD))
    assert torch.autograd.gradcheck(multiply, (x_GD, weight_XD))


@pytest.mark.parametrize("sizes", [(3, 2), (4,), (0, 5, 0)])
def test_networks_are_those_of_the_definition(sizes):
    arguments = make_network(sizes)
    expected = written_out(*arguments, sizes)
    torch.testing.assert_close(swiglu_by_set(*arguments, sizes), expected)
    assert torch.autograd.gradcheck(lambda *tensors: swiglu_by_set(*tensors, sizes), arguments)


def test_many_rows_are_computed_in_chunks_that_change_nothing():
    sizes = (2500, 30)
    arguments = make_network(sizes)
    upstream = draw(sum(sizes), 4, name="upstream").detach()
    results = []
    for network in (written_out, swiglu_by_set):
        out = network(*arguments, sizes)
        results.append([out, *torch.autograd.grad(out, arguments, upstream)])
    for expected, found in zip(*results, strict=True):
        torch.testing.assert_close(found, expected)


def test_autocast_multiplies_in_bfloat16_and_gives_float32_gradients():
    x_GD, weight_XD = draw(5, 4).float().detach(), draw(3, 4).float().detach().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        product = multiply(x_GD, weight_XD)
    product.sum().backward()
    assert product.dtype == torch.bfloat16
    assert weight_XD.grad.dtype == torch.float32


def test_the_setting_of_the_process_is_left_as_it_was():
    with fast_float32_matmul():
        inside = torch.backends.mkldnn.matmul.fp32_precision
    before = torch.backends.mkldnn.matmul.fp32_precision
    x_GD, weight_XD = draw(5, 4).float(), draw(3, 4).float()
    multiply(x_GD, weight_XD).sum().backward()
    assert torch.backends.mkldnn.matmul.fp32_precision == before
    assert inside in (before, "bf16")
