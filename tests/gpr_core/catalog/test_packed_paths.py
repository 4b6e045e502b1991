"""Paths as numbers."""

import numpy as np
import pytest

from gpr_core.catalog.packed_paths import level_bits, pack_paths
from gpr_core.support.errors import ContractError


def test_numbers_are_ordered_as_paths():
    rng = np.random.default_rng(0)
    path_AL = np.stack([rng.integers(0, size, 500) for size in (7, 1, 300)], axis=1)
    packed = pack_paths(path_AL.astype(np.int16), (7, 1, 300))
    order = np.argsort(packed, kind="stable")
    assert order.tolist() == np.lexsort(path_AL.T[::-1]).tolist()
    assert np.unique(packed).size == np.unique(path_AL, axis=0).shape[0]


def test_the_largest_path_fits():
    sizes = (2**15,) * 4 + (8,)
    assert sum(level_bits(sizes)) == 63
    top = np.array([[size - 1 for size in sizes]], np.int16)
    assert pack_paths(top, sizes).tolist() == [2**63 - 1]


def test_a_path_that_does_not_fit_is_refused():
    with pytest.raises(ContractError, match="need 64 bits"):
        level_bits((2**16,) * 4)
