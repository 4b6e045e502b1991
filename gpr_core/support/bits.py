"""Counting set bits."""

import numpy as np
import torch
from torch import Tensor

_PAIRS, _NIBBLES, _BYTES = 0x5555555555555555, 0x3333333333333333, 0x0F0F0F0F0F0F0F0F
_ADD_BYTES = 0x0101010101010101


def count_bits(words: Tensor) -> Tensor:
    """Count the set bits of numbers.

    Args:
        words: int64, any shape.

    Returns:
        int64 in 0..64, same shape.

    Example:
        >>> count_bits(torch.tensor([0, 5, -1])).tolist()
        [0, 2, 64]
    """
    if words.device.type == "cpu":
        # numpy counts the bits of the absolute value of a signed number.
        return torch.from_numpy(np.bitwise_count(words.numpy().view(np.uint64))).to(torch.int64)
    return _count_in_parallel(words)


def _count_in_parallel(words: Tensor) -> Tensor:
    """Add up neighbors: bits to pairs, pairs to nibbles, nibbles to bytes, bytes by a product."""
    words = words - ((words >> 1) & _PAIRS)
    words = (words & _NIBBLES) + ((words >> 2) & _NIBBLES)
    words = (words + (words >> 4)) & _BYTES
    return (words * _ADD_BYTES) >> 56
