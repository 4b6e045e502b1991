"""How often each user has seen each ad."""

from typing import NamedTuple

import numpy as np

from gpr_core.world.taxonomy import Ints

_AD_BITS = 32


class Exposures(NamedTuple):
    """How often each user has seen each ad.

    Attributes:
        pair_Q: [Q] int64, user row * 2**32 + ad row, ascending.
        count_Q: [Q] int64 >= 1.
    """

    pair_Q: Ints
    count_Q: Ints

    def of(self, user_M: Ints, ad_M: Ints) -> Ints:
        """Look up counts.

        Args:
            user_M: [M] int64, rows of users, or any shape that broadcasts with `ad_M`.
            ad_M: [M] int64, rows of ads.

        Returns:
            [M] int64 >= 0.
        """
        pair_M = (user_M << _AD_BITS) | ad_M
        if not len(self.pair_Q):
            return np.zeros(pair_M.shape, dtype=np.int64)
        at_M = np.minimum(np.searchsorted(self.pair_Q, pair_M), len(self.pair_Q) - 1)
        return np.where(self.pair_Q[at_M] == pair_M, self.count_Q[at_M], 0)

    def plus(self, user_M: Ints, ad_M: Ints) -> "Exposures":
        """Add impressions.

        Args:
            user_M: [M] int64, rows of users.
            ad_M: [M] int64, rows of ads.

        Returns:
            The new counts.
        """
        pairs = np.r_[np.repeat(self.pair_Q, self.count_Q), (user_M << _AD_BITS) | ad_M]
        unique, counts = np.unique(pairs, return_counts=True)
        return Exposures(unique, counts.astype(np.int64))


def no_exposures() -> Exposures:
    """Make an empty memory of impressions.

    Returns:
        Zero rows.
    """
    return Exposures(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
