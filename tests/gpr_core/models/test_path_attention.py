"""Tests of attention along code paths against attention over copied keys."""

import pytest
import torch

from gpr_core.models.attention import attention
from gpr_core.models.grouping import group_rows
from gpr_core.models.path_attention import attend_along_paths

HEADS, WIDTH, READOUT = 2, 4, torch.tensor([1, 0, 1, 3, 1])


def draw(shared, own):
    """Draw a query, shared positions of four readouts and own positions of five paths."""
    stream = torch.Generator().manual_seed(0)

    def some(*shape):
        return torch.randn(*shape, generator=stream, requires_grad=True)

    chain = [some(5, 2, HEADS, WIDTH) for _ in range(own)]
    shape = (4, HEADS, shared, WIDTH)
    return some(5, HEADS, WIDTH), (some(*shape), some(*shape)), chain


def by_copying(query, shared, chain):
    """Give every path a copy of all that it sees."""
    key, value = (
        torch.cat([common[READOUT], own_NHPE], dim=2)
        for common, own_NHPE in zip(shared, torch.stack(chain, dim=3).unbind(1), strict=True)
    )
    everything = torch.ones(1, key.shape[2], dtype=torch.bool)
    return attention(query[:, :, None], key, value, mask=everything)[:, :, 0]


@pytest.mark.parametrize(("shared", "own"), [(5, 1), (5, 3), (0, 2), (20, 2)])
def test_values_and_gradients_are_those_of_copied_keys(shared, own):
    query, common, chain = draw(shared, own)
    found = attend_along_paths(query, common, chain, group_rows(READOUT, 4))
    expected = by_copying(query, common, chain)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    inputs = [query, *(common if shared else ()), *chain]
    torch.testing.assert_close(
        torch.autograd.grad(found.square().sum(), inputs),
        torch.autograd.grad(expected.square().sum(), inputs),
        atol=1e-5,
        rtol=1e-5,
    )
