"""Loops over millions of numbers, compiled to machine code.

What numpy computes in ten passes over temporary arrays, a compiled loop does in one, and small
arrays no longer pay ten calls.

Source: own, decision 0023.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

import numba
import numpy as np

Function = TypeVar("Function", bound=Callable[..., object])

_ONE, _TWO, _FOUR, _TOP = (np.uint64(number) for number in (1, 2, 4, 56))
_PAIRS, _QUADS, _BYTES, _ADD = (
    np.uint64(word)
    for word in (
        0x5555555555555555,
        0x3333333333333333,
        0x0F0F0F0F0F0F0F0F,
        0x0101010101010101,
    )
)


def compiled(function: Function) -> Function:
    """Compile a function at its first call with arguments of these types.

    The machine code is kept for later processes beside the source, in `__pycache__`, or where
    `NUMBA_CACHE_DIR` says; where nothing can be written, every process compiles. Other threads run
    meanwhile.

    Args:
        function: Reads and writes numbers and arrays only, and calls compiled functions only.

    Returns:
        The compiled function, called in the same way; it raises IndexError where it would leave an
        array.
    """
    return _compile(function, boundscheck=True)


def compiled_unchecked(function: Function) -> Function:
    """Compile a function that can read and write outside its arrays, and must not.

    Args:
        function: As for `compiled`; its loops run over the shapes of its arguments.

    Returns:
        The compiled function.
    """
    return _compile(function, boundscheck=False)


def _compile(function: Function, *, boundscheck: bool) -> Function:
    """Compile, and keep the machine code where there is a place for it."""
    fast = numba.njit(nogil=True, boundscheck=boundscheck)(function)
    with suppress(RuntimeError):
        fast.enable_caching()
    return cast("Function", fast)


@compiled
def bit_count(word: np.uint64) -> np.uint64:
    """Count the bits of a word; the compiler knows this form as one instruction.

    Args:
        word: Any.

    Returns:
        0..64.
    """
    word = word - ((word >> _ONE) & _PAIRS)
    word = (word & _QUADS) + ((word >> _TWO) & _QUADS)
    word = (word + (word >> _FOUR)) & _BYTES
    return (word * _ADD) >> _TOP
