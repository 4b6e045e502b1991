"""Ranked lists of ads, whatever made them.

Letters: B requests, K candidates, A ads of the catalog by rank.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.support.errors import LegalityError
from gpr_core.support.shapes import check_shape

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

NO_AD = -1


class RankedAds(NamedTuple):
    """What one method proposes for each request, best first.

    Attributes:
        rank_BK: [B, K] int64, catalog rank of the ad; -1 pads the right end.
        score_BK: [B, K] float64, what the method sorted by; -inf at the padding.
    """

    rank_BK: Ints
    score_BK: Floats

    def first(self, count: int) -> "RankedAds":
        """Cut the lists.

        Args:
            count: Longest list to keep.

        Returns:
            The first `count` candidates of each request.
        """
        return RankedAds(self.rank_BK[:, :count], self.score_BK[:, :count])

    def is_ad(self) -> Bools:
        """Tell candidates from padding.

        Returns:
            [B, K] bool, True where there is an ad.
        """
        return np.asarray(self.rank_BK != NO_AD)


def top_ads(score_BA: Floats, eligible_BA: Bools, count: int) -> RankedAds:
    """Take the best eligible ads of a method that scores the whole catalog.

    Args:
        score_BA: [B, A] float64, higher is better.
        eligible_BA: [B, A] bool, which ads may serve the request.
        count: Longest list K.

    Returns:
        The lists; equal scores are ordered by catalog rank.

    Raises:
        ShapeError: If the two arrays differ in shape.
    """
    check_shape("score_BA", score_BA, eligible_BA.shape)
    masked_BA = np.where(eligible_BA, score_BA, -np.inf)
    order_BK = np.argsort(-masked_BA, axis=1, kind="stable")[:, :count]
    is_ad_BK = np.take_along_axis(eligible_BA, order_BK, axis=1)
    score_BK = np.take_along_axis(masked_BA, order_BK, axis=1)
    return RankedAds(np.where(is_ad_BK, order_BK, NO_AD), score_BK)


def check_distinct(name: str, candidates: RankedAds) -> None:
    """Refuse lists that name an ad twice: they would inflate what they are measured by (T23).

    Args:
        name: The method, for the message.
        candidates: Its lists.

    Raises:
        LegalityError: If a list holds an ad twice.
    """
    sorted_BK = np.sort(candidates.rank_BK, axis=1)
    twice = (sorted_BK[:, 1:] == sorted_BK[:, :-1]) & (sorted_BK[:, 1:] != NO_AD)
    if twice.any():
        raise LegalityError(
            f"{name} emitted an ad twice for {int(twice.any(axis=1).sum())} requests",
            where="evaluation candidates",
            fix="candidates must be distinct; look for leaf flooding in generation",
        )
