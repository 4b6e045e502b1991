"""Tests of compiled loops."""

import numpy as np
import pytest

from gpr_core.support.compiled import bit_count, compiled, compiled_unchecked


@pytest.mark.parametrize("word", [0, 1, 3, 2**63, 2**64 - 1, 0x123456789ABCDEF0])
def test_bits_are_counted(word):
    assert int(bit_count(np.uint64(word))) == word.bit_count()


def test_leaving_an_array_is_an_error():
    @compiled
    def read(values, place):
        return values[place]

    assert read(np.arange(3), 2) == 2
    with pytest.raises(IndexError):
        read(np.arange(3), 3)


@pytest.mark.parametrize("decorate", [compiled, compiled_unchecked])
def test_where_nothing_can_be_kept_a_process_compiles_for_itself(decorate):
    scope = {}
    exec("def double(value):\n    return 2 * value", scope)  # noqa: S102 - source without a file
    assert decorate(scope["double"])(21) == 42
