"""Named random streams derived from one run seed.

Two streams with different names are independent; the same seed and names give the same draws on
every machine, whatever else was drawn before.
"""

import hashlib

import numpy as np
import torch


def derive_seed(seed: int, *names: object) -> int:
    """Derive a 63-bit seed for one purpose.

    Args:
        seed: The run seed.
        *names: What the stream is for, for example `("mtp", "dropout", update)`.

    Returns:
        An int in [0, 2**63).

    Example:
        >>> derive_seed(7, "init") == derive_seed(7, "init")
        True
        >>> derive_seed(7, "init") == derive_seed(7, "order")
        False
    """
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def numpy_stream(seed: int, *names: object) -> np.random.Generator:
    """Make the numpy generator of one purpose.

    Args:
        seed: The run seed.
        *names: What the stream is for.

    Returns:
        A fresh generator.
    """
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *names)))


def torch_stream(seed: int, *names: object, device: str = "cpu") -> torch.Generator:
    """Make the torch generator of one purpose.

    Args:
        seed: The run seed.
        *names: What the stream is for.
        device: Where the draws are made.

    Returns:
        A fresh generator.
    """
    return torch.Generator(device=device).manual_seed(derive_seed(seed, *names))


def seed_global_torch(seed: int, *names: object) -> None:
    """Seed torch's global stream, for layers that cannot take a generator (init, dropout).

    Args:
        seed: The run seed.
        *names: What the draws that follow are for.
    """
    torch.manual_seed(derive_seed(seed, *names))  # noqa: TID251 - the one allowed place
