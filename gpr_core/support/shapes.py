"""Checks of array shapes and ranges at public entry points."""

from typing import Any

from gpr_core.support.errors import ConfigError, ShapeError


def check_shape(name: str, array: Any, expected: tuple[int | None, ...]) -> None:
    """Check the shape of a numpy array or a tensor.

    Args:
        name: Name of the argument, for the message.
        array: Anything with `.shape`.
        expected: One size per axis; None accepts any size.

    Raises:
        ShapeError: If the number of axes or one size differs.
    """
    shape = tuple(array.shape)
    fits = len(shape) == len(expected) and all(
        want is None or want == have for want, have in zip(expected, shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size is None else str(size) for size in expected)
        raise ShapeError(
            f"{name} has shape {list(shape)}, expected [{wanted}]",
            where=name,
            fix="check how the array was built",
        )


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Check that a configuration value lies in a closed interval.

    Args:
        name: Name of the parameter.
        value: Its value.
        low: Smallest accepted value.
        high: Largest accepted value.

    Raises:
        ConfigError: If the value is outside.
    """
    if not low <= value <= high:
        raise ConfigError(
            f"{name} is {value}, expected a value in [{low}, {high}]",
            fix=f"set {name} between {low} and {high}",
        )
