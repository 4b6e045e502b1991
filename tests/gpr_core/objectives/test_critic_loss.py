import pytest
import torch

from gpr_core.objectives.critic_loss import critic_loss, explained_share
from gpr_core.support.errors import ShapeError


def test_loss_is_the_mean_over_candidates_and_levels():
    value = torch.tensor([[1.0, 2.0]], requires_grad=True)
    loss = critic_loss(value, torch.tensor([[0.0, 4.0]]))
    loss.backward()
    assert loss.item() == 2.5
    assert value.grad is not None
    assert value.grad.tolist() == [[1.0, -2.0]]


def test_returns_get_no_gradient():
    target = torch.ones(1, 1, requires_grad=True)
    critic_loss(torch.zeros(1, 1, requires_grad=True), target).backward()
    assert target.grad is None


def test_explained_share_of_perfect_mean_and_wrong_values():
    target = torch.tensor([[1.0], [3.0]])
    assert explained_share(target, target) == 1.0
    assert explained_share(torch.full((2, 1), 2.0), target) == 0.0
    # residuals (2, 2) against deviations (1, 1)
    assert explained_share(torch.tensor([[3.0], [1.0]]), target) == -3.0


def test_constant_returns_explain_nothing():
    assert explained_share(torch.ones(2, 1), torch.ones(2, 1)) == 0.0


@pytest.mark.parametrize("shape", [(0, 2), (1, 3)])
def test_bad_shapes_are_refused(shape):
    with pytest.raises(ShapeError, match="at least one row"):
        critic_loss(torch.zeros(shape), torch.zeros(0, 2))
