import pytest
import torch

from gpr_core.objectives.masked_softmax import masked_log_softmax
from gpr_core.support.errors import ShapeError


def test_probability_lies_on_legal_codes_only():
    logits = torch.tensor([[0.0, 9.0, 0.0], [1.0, 1.0, 1.0]])
    legal = torch.tensor([[True, False, True], [True, True, True]])
    expected = torch.tensor([[0.5, 0.0, 0.5], [1 / 3, 1 / 3, 1 / 3]])
    torch.testing.assert_close(masked_log_softmax(logits, legal).exp(), expected)


def test_single_legal_code_has_logp_zero_and_no_gradient():
    logits = torch.tensor([[3.0, -2.0]], requires_grad=True)
    logp = masked_log_softmax(logits, torch.tensor([[False, True]]))
    logp[0, 1].backward()
    assert logp[0, 1].item() == 0.0
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0.0, 0.0]]


def test_row_without_legal_codes_is_all_minus_infinity_and_harmless():
    logits = torch.tensor([[1.0, 2.0], [0.0, 0.0]], requires_grad=True)
    logp = masked_log_softmax(logits, torch.tensor([[False, False], [True, True]]))
    logp[1, 0].backward()
    assert logp[0].tolist() == [float("-inf")] * 2
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0.0, 0.0], [0.5, -0.5]]


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match=r"logits have shape \[1, 2\], legal \[1, 3\]"):
        masked_log_softmax(torch.zeros(1, 2), torch.ones(1, 3, dtype=torch.bool))
