"""T07: head weights keep their floor, and the reported loss does not fall by reweighting.

Broken twins: weights learned by gradient, and a report of the weighted loss.
"""

import torch

from gpr_core.objectives.code_loss import code_loss
from gpr_core.objectives.head_weights import head_weights

NLL = torch.tensor([2.0, 2.3, 2.6, 3.0])
FLOOR = 0.5 / len(NLL)


def keeps_the_floor(weights_J):
    """Check that weights lie on the simplex, none below half of its equal share."""
    is_simplex = abs(float(weights_J.sum()) - 1.0) < 1e-6
    return is_simplex and bool((weights_J >= FLOOR - 1e-7).all())


def learned_by_gradient(nll_J, num_updates=4000):
    """Descend the weighted loss in the logits of the weights."""
    logit_J = torch.zeros(len(nll_J), requires_grad=True)
    optimizer = torch.optim.SGD([logit_J], lr=0.1)
    for _ in range(num_updates):
        optimizer.zero_grad()
        (torch.softmax(logit_J, dim=0) * nll_J).sum().backward()
        optimizer.step()
    return torch.softmax(logit_J.detach(), dim=0)


def is_untouched_by_reweighting(report):
    """Check that a report of unchanged predictions does not change with the weights."""
    logp_MJL, ok_MJ = -NLL.view(1, 4, 1).expand(3, 4, 2), torch.ones(3, 4, dtype=torch.bool)
    uniform = report(code_loss(logp_MJL, ok_MJ, torch.full((4,), 0.25)))
    peaked = report(code_loss(logp_MJL, ok_MJ, torch.tensor([0.97, 0.01, 0.01, 0.01])))
    return torch.equal(uniform, peaked)


def test_closed_form_weights_keep_the_floor():
    assert keeps_the_floor(head_weights(NLL))
    assert keeps_the_floor(head_weights(torch.tensor([0.0, 100.0, 100.0, 100.0])))


def test_the_check_finds_weights_learned_by_gradient():
    learned_J = learned_by_gradient(NLL)
    assert not keeps_the_floor(learned_J)
    assert float(learned_J[0]) > 0.95


def test_the_reported_loss_of_each_head_is_unweighted():
    assert is_untouched_by_reweighting(lambda result: result.nll_J)


def test_the_check_finds_a_report_of_the_weighted_loss():
    assert not is_untouched_by_reweighting(lambda result: result.loss)
