"""The fixed pool: per request the same ads for every method.

The pool is the logged ad, then the most popular eligible ads, then a keyed uniform sample of the
other eligible ones. It depends on nothing that a judged method emits.

Letters: B requests, P ads of the pool, A ads.

Source: specification 7.2; the draw by keyed hash is own (specification 1.4 rule 8).
"""

import numpy as np
import numpy.typing as npt

from gpr_core.data.keyed_sampling import keyed_uniform
from gpr_core.evaluation.ranked_ads import NO_AD
from gpr_core.support.shapes import check_shape

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def fixed_pool(
    request_key_B: npt.NDArray[np.uint64],
    truth_B: Ints,
    eligible_BA: Bools,
    popularity_A: Floats,
    ad_key_A: npt.NDArray[np.integer],
    *,
    size: int,
    popular: int,
    seed: int,
) -> Ints:
    """Choose the pool of each request.

    Args:
        request_key_B: [B] uint64.
        truth_B: [B] int64, catalog rank of the logged ad; -1 leaves it out.
        eligible_BA: [B, A] bool; the logged ad is taken only if it is eligible.
        popularity_A: [A] float64.
        ad_key_A: [A] integer, key of each catalog rank, which the uniform draw hangs on.
        size: Ads in the pool P.
        popular: How many of them come by popularity.
        seed: Run seed.

    Returns:
        [B, P] int64 catalog ranks, distinct in a row; -1 pads a request with fewer eligible ads.

    Raises:
        ShapeError: If the arrays do not fit together.
    """
    check_shape("eligible_BA", eligible_BA, (len(request_key_B), len(ad_key_A)))
    check_shape("truth_B", truth_B, (len(request_key_B),))
    # Tier 3: logged, 2: popular, in (0, 1): uniform draw, negative: not eligible.
    uniform_BA = keyed_uniform(seed, "evaluation_pool", request_key_B[:, None], ad_key_A[None, :])
    priority_BA = np.where(eligible_BA, uniform_BA, -1.0)
    is_truth_BA = np.arange(len(ad_key_A))[None, :] == truth_B[:, None]
    by_popularity_A = np.argsort(-popularity_A, kind="stable")
    open_BA = (eligible_BA & ~is_truth_BA)[:, by_popularity_A]
    is_popular_BA = np.zeros_like(eligible_BA)
    is_popular_BA[:, by_popularity_A] = open_BA & (np.cumsum(open_BA, axis=1) <= popular)
    priority_BA = np.where(is_popular_BA, 2.0, priority_BA)
    priority_BA = np.where(is_truth_BA & eligible_BA, 3.0, priority_BA)
    pool_BP = np.argsort(-priority_BA, axis=1, kind="stable")[:, :size]
    taken_BP = np.take_along_axis(priority_BA, pool_BP, axis=1) > 0
    return np.where(taken_BP, pool_BP, NO_AD)
