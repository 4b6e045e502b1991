"""The critic's regression (Eq 10) and how well it explains held-out returns.

Shape letters: M flat candidates, L levels.
"""

from torch import Tensor

from gpr_core.support.errors import ShapeError


def critic_loss(value_ML: Tensor, return_ML: Tensor) -> Tensor:
    """Mean squared error between critic values and returns, over candidates and levels.

    Args:
        value_ML: [M, L] critic values V(s, z_<l).
        return_ML: [M, L] returns G_l, constants.

    Returns:
        Scalar.

    Raises:
        ShapeError: If the shapes differ, or there is no row.

    Source:
        Paper Eq 10; the mean over levels replaces the printed sum (specification 4.5).
    """
    _check(value_ML, return_ML)
    return (value_ML - return_ML.detach()).square().mean()


def explained_share(value_ML: Tensor, return_ML: Tensor) -> float:
    """Share of the variance of the returns that the critic explains (R2).

    Args:
        value_ML: [M, L] critic values on rows it was not fitted on.
        return_ML: [M, L] their returns.

    Returns:
        At most 1; 0 for a critic no better than the mean, negative for a worse one, and 0 if the
        returns are constant.

    Raises:
        ShapeError: If the shapes differ, or there is no row.
    """
    _check(value_ML, return_ML)
    total = (return_ML - return_ML.mean()).square().sum()
    if float(total) == 0.0:
        return 0.0
    residual = (return_ML - value_ML.detach()).square().sum()
    return float(1.0 - residual / total)


def _check(value_ML: Tensor, return_ML: Tensor) -> None:
    """Refuse other shapes and empty input."""
    if value_ML.shape != return_ML.shape or value_ML.numel() == 0:
        raise ShapeError(
            f"values have shape {list(value_ML.shape)}, returns {list(return_ML.shape)}",
            where="critic",
            fix="give one value and one return per candidate and level, at least one row",
        )
