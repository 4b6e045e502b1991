"""The one softmax over legal codes, used by the losses, the decoder and the policy ratios."""

import torch
from torch import Tensor

from gpr_core.support.errors import ShapeError


def masked_log_softmax(logits_MV: Tensor, legal_MV: Tensor) -> Tensor:
    """Normalize logits over the legal codes of each row.

    A single legal code has log-probability exactly 0 and passes no gradient.

    Args:
        logits_MV: [..., V] float, raw logits of the codes of one level.
        legal_MV: [..., V] bool, True where the code leads to an eligible ad.

    Returns:
        [..., V] log-probabilities, float32 of bfloat16 logits; -inf for illegal codes, and for all
        codes of a row that has no legal one.

    Raises:
        ShapeError: If the shapes differ.

    Source:
        Specification 3.6 (level-masked probability).

    Example:
        >>> logits = torch.zeros(1, 3)
        >>> masked_log_softmax(logits, torch.tensor([[True, False, True]])).exp().tolist()
        [[0.5, 0.0, 0.5]]
    """
    return legal_log_softmax(logits_MV, legal_MV).masked_fill(~legal_MV, float("-inf"))


def legal_log_softmax(logits_MV: Tensor, legal_MV: Tensor) -> Tensor:
    """Normalize as `masked_log_softmax` does, for callers that look at legal codes only.

    Args:
        logits_MV: [..., V] float, raw logits of the codes of one level.
        legal_MV: [..., V] bool, True where the code leads to an eligible ad.

    Returns:
        [..., V] log-probabilities of legal codes; anything elsewhere.

    Raises:
        ShapeError: If the shapes differ.
    """
    if logits_MV.shape != legal_MV.shape:
        raise ShapeError(
            f"logits have shape {list(logits_MV.shape)}, legal {list(legal_MV.shape)}",
            where="legal_log_softmax",
            fix="use the codebook size of the same level for both",
        )
    if logits_MV.dtype == torch.bfloat16:
        logits_MV = logits_MV.float()
    # A finite stand-in keeps gradients of rows without a legal code free of NaN.
    lowest = torch.finfo(logits_MV.dtype).min
    return torch.log_softmax(logits_MV.masked_fill(~legal_MV, lowest), dim=-1)
