"""The chunked loss against torch's own."""

import pytest
import torch

from gpr_core.sequential import softmax_loss as module
from gpr_core.sequential.softmax_loss import softmax_loss
from gpr_core.support.seeding import torch_stream


@pytest.mark.parametrize("chunk_scores", [1, 40, 1 << 22])
def test_value_and_gradients_are_those_of_cross_entropy(monkeypatch, chunk_scores):
    monkeypatch.setattr(module, "_CHUNK_SCORES", chunk_scores)
    stream = torch_stream(0, "test")
    state, items = (torch.randn(rows, 4, generator=stream).double() for rows in (9, 12))
    target = torch.randint(12, (9,), generator=stream)
    expected = [part.clone().requires_grad_() for part in (state, items)]
    reference = torch.nn.functional.cross_entropy(expected[0] @ expected[1].T, target)
    (3 * reference).backward()
    found = [part.clone().requires_grad_() for part in (state, items)]
    loss = softmax_loss(*found, target)
    (3 * loss).backward()
    assert loss.item() == pytest.approx(reference.item(), abs=1e-12)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-12)


def test_large_scores_do_not_overflow():
    state = torch.full((2, 1), 1e4)
    loss = softmax_loss(state, torch.tensor([[1.0], [-1.0]]), torch.tensor([0, 1]))
    assert loss.item() == pytest.approx(1e4)
