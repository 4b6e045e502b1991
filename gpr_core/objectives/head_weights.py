"""Weights of the prediction heads on the simplex, moved in closed form.

Gradient descent on the weights would put all mass on the easiest head, so they get no gradient.

Letters: J heads.
"""

import torch
from torch import Tensor

from gpr_core.support.shapes import check_range, check_shape


def update_average(average_J: Tensor, nll_J: Tensor, count_J: Tensor, *, decay: float) -> Tensor:
    """Move the running unweighted loss of each head towards that of a batch.

    Args:
        average_J: [J] float, running loss; NaN for a head that has had no target yet.
        nll_J: [J] float, mean loss of the batch; ignored where there was no target.
        count_J: [J], targets of each head in the batch.
        decay: Share of the old average that is kept, in [0, 1].

    Returns:
        [J] float.

    Raises:
        ShapeError: If the shapes differ.
        ConfigError: If `decay` is outside [0, 1].

    Example:
        >>> old, new = torch.tensor([2.0, 4.0]), torch.tensor([1.0, 0.0])
        >>> update_average(old, new, torch.tensor([9, 0]), decay=0.5).tolist()
        [1.5, 4.0]
    """
    check_range("decay", decay, 0.0, 1.0)
    check_shape("nll_J", nll_J, tuple(average_J.shape))
    check_shape("count_J", count_J, tuple(average_J.shape))
    start_J = torch.where(average_J.isnan(), nll_J, average_J)
    moved_J = decay * start_J + (1.0 - decay) * nll_J.detach()
    return torch.where(count_J > 0, moved_J, average_J)


def head_weights(nll_J: Tensor, *, adaptive_share: float = 0.5, temperature: float = 1.0) -> Tensor:
    """Give easier heads more weight, but every head at least (1 - adaptive_share) / J.

    The softmax is the minimizer of sum_j w_j nll_j + temperature * KL(w || uniform).

    Args:
        nll_J: [J] float, running unweighted loss of each head; NaN for a head without targets,
            which then counts like the hardest one.
        adaptive_share: rho, share of the weight that follows the losses, in [0, 1].
        temperature: tau, larger is more even, at least 1e-3.

    Returns:
        [J] float, positive, sum 1.

    Raises:
        ConfigError: If a parameter is outside its range.

    Source:
        Paper Eq 3 (weights on the simplex, rule not printed); specification 3.7.

    Example:
        >>> head_weights(torch.tensor([1.0, 1.0])).tolist()
        [0.5, 0.5]
    """
    check_range("adaptive_share", adaptive_share, 0.0, 1.0)
    check_range("temperature", temperature, 1e-3, 1e3)
    check_shape("nll_J", nll_J, (None,))
    known_J = ~nll_J.isnan()
    if not bool(known_J.any()):
        return torch.full_like(nll_J, 1.0 / len(nll_J))
    hardest = nll_J[known_J].max()
    adaptive_J = torch.softmax(-torch.where(known_J, nll_J, hardest).detach() / temperature, dim=0)
    return (1.0 - adaptive_share) / len(nll_J) + adaptive_share * adaptive_J
