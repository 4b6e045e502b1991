"""Draws that are a hash of keys: adding rows never reshuffles the draws of others.

The same seed, purpose and keys give the same number everywhere, so that two policies that show the
same ad at the same request see the same outcome (common random numbers).

Source: own; specification 1.4 rule 8 and 6.2.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from gpr_core.support.seeding import derive_seed

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_TWO_POW_53 = float(1 << 53)


def keyed_hash(seed: int, purpose: str, *keys: npt.ArrayLike) -> npt.NDArray[np.uint64]:
    """Hash integer keys with a seed and a purpose (splitmix64 rounds).

    Args:
        seed: Run or world seed.
        purpose: What the draw is for; two purposes are independent.
        *keys: Integer arrays that broadcast together.

    Returns:
        [broadcast] uint64.
    """
    with np.errstate(over="ignore"):
        state = np.asarray(np.uint64(derive_seed(seed, "keyed", purpose)))
        for key in keys:
            state = _mix(state ^ np.asarray(key).astype(np.uint64)) + _GOLDEN
        return np.asarray(_mix(state))


def keyed_uniform(seed: int, purpose: str, *keys: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Draw uniforms keyed by integers.

    Args:
        seed: Run or world seed.
        purpose: What the draw is for.
        *keys: Integer arrays that broadcast together.

    Returns:
        [broadcast] float64 in (0, 1), both ends excluded.
    """
    bits = keyed_hash(seed, purpose, *keys) >> np.uint64(11)
    return (bits.astype(np.float64) + 0.5) / _TWO_POW_53


def keyed_normal(seed: int, purpose: str, *keys: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Draw standard normals keyed by integers.

    Args:
        seed: Run or world seed.
        purpose: What the draw is for.
        *keys: Integer arrays that broadcast together.

    Returns:
        [broadcast] float64.
    """
    return np.asarray(ndtri(keyed_uniform(seed, purpose, *keys)))


def _mix(state: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Finish one splitmix64 round."""
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))
