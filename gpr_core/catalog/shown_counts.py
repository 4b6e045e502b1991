"""How often which ads were shown to the users of requests, without a table of requests by ads.

Letters: B requests, A ads by rank, S shown (request, ad) pairs, P past impressions, M flat pairs.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.ranges import expand_ranges

Ints = npt.NDArray[np.int64]


class ShownCounts(NamedTuple):
    """Earlier impressions of ads, seen from requests; pairs ascend by (request, ad).

    Attributes:
        row_S: [S] int64, request.
        rank_S: [S] int64, ad.
        count_S: [S] int64 impressions, >= 1.
    """

    row_S: Ints
    rank_S: Ints
    count_S: Ints

    @classmethod
    def of_impressions(cls, row_P: Ints, rank_P: Ints) -> "ShownCounts":
        """Count impressions.

        Args:
            row_P: [P] int64, request that an impression came before, any order.
            rank_P: [P] int64, ad.

        Returns:
            The counts.

        Example:
            >>> row, rank = np.array([1, 0, 1]), np.array([7, 2, 7])
            >>> ShownCounts.of_impressions(row, rank).count_S.tolist()
            [1, 2]
        """
        stride = int(rank_P.max(initial=0)) + 1
        pair_S, count_S = np.unique(row_P * stride + rank_P, return_counts=True)
        row_S, rank_S = np.divmod(pair_S, stride)
        return cls(row_S, rank_S, count_S.astype(np.int64))

    def of(self, row_M: Ints, rank_M: Ints) -> Ints:
        """Look pairs up.

        Args:
            row_M: [M] int64 requests.
            rank_M: [M] int64 ads.

        Returns:
            [M] int64 impressions, 0 for an ad that was not shown.
        """
        if not self.count_S.size:
            return np.zeros(row_M.size, dtype=np.int64)
        stride = int(max(self.rank_S.max(), rank_M.max(initial=0))) + 1
        pair_S, pair_M = self.row_S * stride + self.rank_S, row_M * stride + rank_M
        place_M = np.minimum(np.searchsorted(pair_S, pair_M), pair_S.size - 1)
        return np.where(pair_S[place_M] == pair_M, self.count_S[place_M], 0)

    def take(self, rows_B: Ints) -> "ShownCounts":
        """Keep some requests.

        Args:
            rows_B: [B] int64, requests; the first becomes request 0, and so on.

        Returns:
            Their counts.
        """
        first_B, end_B = (np.searchsorted(self.row_S, rows_B, side) for side in ("left", "right"))
        row_S, place_S = expand_ranges(first_B, end_B)
        return ShownCounts(row_S, self.rank_S[place_S], self.count_S[place_S])

    def translate(self, rank_A: Ints) -> "ShownCounts":
        """Name the ads by the ranks of another catalog of the same ads.

        Args:
            rank_A: [A] int64, new rank of each ad.

        Returns:
            The same counts.
        """
        rank_S = rank_A[self.rank_S]
        order_S = np.lexsort((rank_S, self.row_S))
        return ShownCounts(self.row_S[order_S], rank_S[order_S], self.count_S[order_S])

    def dense(self, num_requests: int, num_ads: int) -> Ints:
        """Write the counts as a matrix, for what looks at every ad.

        Args:
            num_requests: B.
            num_ads: A.

        Returns:
            [B, A] int64.
        """
        count_BA = np.zeros((num_requests, num_ads), dtype=np.int64)
        count_BA[self.row_S, self.rank_S] = self.count_S
        return count_BA
