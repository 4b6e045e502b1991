"""The device a step computes on."""

import torch

from gpr_core.support.errors import ConfigError

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str) -> str:
    """Turn the configured device into the one to use.

    Args:
        name: `auto` (CUDA where there is a GPU, else CPU), `cpu` or `cuda`.

    Returns:
        `cpu` or `cuda`.

    Raises:
        ConfigError: If the name is unknown, or `cuda` is asked for where there is no GPU.

    Example:
        >>> resolve_device("cpu")
        'cpu'
    """
    if name not in DEVICES:
        raise ConfigError(
            f"found device {name!r}, expected one of: {', '.join(DEVICES)}",
            where="run.device",
            fix="set device to auto",
        )
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise ConfigError(
            "device is cuda, but torch finds no GPU",
            where="run.device",
            fix="set device to auto or cpu",
        )
    return "cuda" if has_gpu and name != "cpu" else "cpu"
