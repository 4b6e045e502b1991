"""Matrix products of packed tokens, by the library that is faster for large ones.

The setting belongs to the whole process and slows the small products of other layers, so it is made
around single products, in the forward and in the backward pass.

Letters: G packed tokens, D width, X width of the output or of both halves of a hidden layer, S
parameter sets, g rows of one chunk.
"""

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from gpr_core.support.matmul import fast_float32_matmul

# Rows whose hidden layer stays in the cache between two products.
_ROWS_PER_CHUNK = 1024


def multiply(x_GD: Tensor, weight_XD: Tensor) -> Tensor:
    """Multiply rows by a weight, like `torch.nn.functional.linear`.

    Args:
        x_GD: [G, D] float.
        weight_XD: [X, D] float.

    Returns:
        [G, X] float.
    """
    product_GX: Tensor = _Product.apply(  # type: ignore[no-untyped-call]
        *_as_autocast(x_GD, weight_XD)
    )
    return product_GX


def swiglu_by_set(
    x_GD: Tensor, inner_SDX: Tensor, outer_SXD: Tensor, sizes: tuple[int, ...]
) -> Tensor:
    """Apply one SwiGLU network per parameter set to the rows of that set.

    Args:
        x_GD: [G, D] float, rows sorted by set.
        inner_SDX: [S, D, X] float, weights of gates and values side by side.
        outer_SXD: [S, X / 2, D] float.
        sizes: Number of rows of each set.

    Returns:
        [G, D] float: (SiLU(x inner_gate) * (x inner_value)) outer.
    """
    out_GD: Tensor = _SwiGLU.apply(  # type: ignore[no-untyped-call]
        *_as_autocast(x_GD, inner_SDX, outer_SXD), sizes
    )
    return out_GD


class _Product(torch.autograd.Function):
    """Product of rows and a weight."""

    @staticmethod
    def forward(ctx: Any, x_GD: Tensor, weight_XD: Tensor) -> Tensor:
        """Multiply; see `multiply`."""
        ctx.save_for_backward(x_GD, weight_XD)
        with fast_float32_matmul():
            return x_GD @ weight_XD.T

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_GX: Tensor) -> tuple[Tensor, Tensor]:
        """Give the gradients of rows and weight."""
        x_GD, weight_XD = ctx.saved_tensors
        with fast_float32_matmul():
            return grad_GX @ weight_XD, grad_GX.T @ x_GD


class _SwiGLU(torch.autograd.Function):
    """SwiGLU networks in chunks of rows, without copies of rows or of weights.

    The activated hidden layer is computed again in the backward pass: it is a third of what would
    have to be kept, and cheap.
    """

    @staticmethod
    def forward(
        ctx: Any, x_GD: Tensor, inner_SDX: Tensor, outer_SXD: Tensor, sizes: tuple[int, ...]
    ) -> Tensor:
        """Transform; see `swiglu_by_set`."""
        hidden_GX = x_GD.new_empty(len(x_GD), inner_SDX.shape[2])
        out_GD = torch.empty_like(x_GD)
        with fast_float32_matmul():
            for idx, rows in _chunks(sizes):
                torch.mm(x_GD[rows], inner_SDX[idx], out=hidden_GX[rows])
                gate_gX, value_gX = hidden_GX[rows].chunk(2, dim=1)
                torch.mm(F.silu(gate_gX).mul_(value_gX), outer_SXD[idx], out=out_GD[rows])
        ctx.save_for_backward(x_GD, hidden_GX, inner_SDX, outer_SXD)
        ctx.sizes = sizes
        return out_GD

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_GD: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Give the gradients of rows and weights."""
        x_GD, hidden_GX, inner_SDX, outer_SXD = ctx.saved_tensors
        grad_x_GD = torch.empty_like(x_GD)
        grad_inner, grad_outer = torch.zeros_like(inner_SDX), torch.zeros_like(outer_SXD)
        with fast_float32_matmul():
            for idx, rows in _chunks(ctx.sizes):
                gate_gX, value_gX = hidden_GX[rows].chunk(2, dim=1)
                silu_gX = F.silu(gate_gX)
                grad_act_gX = grad_GD[rows] @ outer_SXD[idx].T
                grad_hidden_gX = torch.empty_like(hidden_GX[rows])
                grad_gate_gX, grad_value_gX = grad_hidden_gX.chunk(2, dim=1)
                torch.mul(grad_act_gX, silu_gX, out=grad_value_gX)
                grad_outer[idx].addmm_(silu_gX.mul_(value_gX).T, grad_GD[rows])
                grad_act_gX.mul_(value_gX)
                torch.ops.aten.silu_backward.grad_input(
                    grad_act_gX, gate_gX, grad_input=grad_gate_gX
                )
                grad_inner[idx].addmm_(x_GD[rows].T, grad_hidden_gX)
                torch.mm(grad_hidden_gX, inner_SDX[idx].T, out=grad_x_GD[rows])
        return grad_x_GD, grad_inner, grad_outer, None


def _chunks(sizes: tuple[int, ...]) -> Iterator[tuple[int, slice]]:
    """Cut the rows of every set into chunks."""
    start = 0
    for idx, size in enumerate(sizes):
        for first in range(start, start + size, _ROWS_PER_CHUNK):
            yield idx, slice(first, min(first + _ROWS_PER_CHUNK, start + size))
        start += size


def _as_autocast(*tensors: Tensor) -> list[Tensor]:
    """Cast to the type of the surrounding autocast region, where there is one."""
    device = tensors[0].device.type
    if not torch.is_autocast_enabled(device):
        return list(tensors)
    return [tensor.to(torch.get_autocast_dtype(device)) for tensor in tensors]
