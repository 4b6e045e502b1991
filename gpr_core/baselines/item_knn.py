"""Item-kNN floor: ads that share users with the ads the user was shown, latest counting most.

Letters: M exposures in training, U users, A ads by catalog rank, B requests, H remembered
exposures.

Source: the item-based nearest-neighbour method (Sarwar et al., 2001), with a decay by recency.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

from gpr_core.baselines.popularity import Popularity
from gpr_core.support.shapes import check_shape

Ints = npt.NDArray[np.int64]

_RECENCY = 0.8
# Popularity orders what the neighbours do not: it is far below the smallest similarity.
_PRIOR_STRENGTH = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class ItemKnn:
    """Similarity of ads: the cosine of the sets of users that were shown them.

    Attributes:
        similar_AA: [A, A] sparse float64, symmetric; 1 on the diagonal of ads that were shown.
        prior: Popularity, the order of ads that have nothing in common with a history.
    """

    similar_AA: sparse.csr_matrix
    prior: Popularity

    @classmethod
    def fit(cls, user_M: Ints, rank_M: Ints, *, prior: Popularity) -> "ItemKnn":
        """Compare the users of all pairs of ads.

        Args:
            user_M: [M] int64 user of each exposure.
            rank_M: [M] int64 catalog rank; -1 (not in the catalog) is ignored.
            prior: Popularity over the same catalog.

        Returns:
            The fitted floor.

        Raises:
            ShapeError: If the arrays differ in length.
        """
        check_shape("rank_M", rank_M, user_M.shape)
        known_M = rank_M >= 0
        users, row_M = np.unique(user_M[known_M], return_inverse=True)
        shape = (users.size, prior.share_A.size)
        seen_UA = sparse.csr_matrix((np.ones(row_M.size), (row_M, rank_M[known_M])), shape=shape)
        # However often a user was shown an ad, the pair counts once.
        seen_UA.data[:] = 1.0
        norm_A = np.sqrt(np.asarray(seen_UA.sum(axis=0)).ravel())
        unit_UA = seen_UA @ sparse.diags(1.0 / np.maximum(norm_A, 1.0))
        return cls((unit_UA.T @ unit_UA).tocsr(), prior)

    def score(self, recent_BH: Ints) -> npt.NDArray[np.float64]:
        """Score the catalog by its similarity to what each user was shown.

        Args:
            recent_BH: [B, H] int64 ranks of the ads the user was shown, most recent first; -1
                pads.

        Returns:
            [B, A] float64: similarities weighted by 0.8 to the power of the place; popularity
            where nothing was shown.
        """
        row_M, place_M = np.nonzero(recent_BH >= 0)
        shape = (len(recent_BH), self.prior.share_A.size)
        weight_BA = sparse.csr_matrix(
            (_RECENCY**place_M, (row_M, recent_BH[row_M, place_M])), shape=shape
        )
        near_BA = (weight_BA @ self.similar_AA).toarray()
        return np.asarray(near_BA + _PRIOR_STRENGTH * self.prior.share_A)
