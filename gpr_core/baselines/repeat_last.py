"""Repeat-last floor: the ads the user was shown before, most recent first.

Ads the user never saw follow in the order of their popularity, so that the list is always full.

Letters: B requests, H remembered exposures, A ads by catalog rank.

Source: specification 7.1 (mandatory baseline).
"""

import numpy as np
import numpy.typing as npt

from gpr_core.baselines.popularity import Popularity


def repeat_last_scores(
    recent_BH: npt.NDArray[np.int64], prior: Popularity
) -> npt.NDArray[np.float64]:
    """Score the catalog by how recently the user was shown each ad.

    Args:
        recent_BH: [B, H] int64 ranks of the ads shown to the user, most recent first, an ad may
            repeat; -1 pads.
        prior: Orders the ads that the user never saw.

    Returns:
        [B, A] float64: 1 + 1/h for the ad shown h exposures ago (its most recent showing), else
        its popularity share, which is at most 1.

    Example:
        >>> prior = Popularity(np.array([0.75, 0.25, 0.0]))
        >>> repeat_last_scores(np.array([[2, 1, 2]]), prior).tolist()
        [[0.75, 1.5, 2.0]]
    """
    num_ads, width = prior.share_A.size, recent_BH.shape[1]
    score_BA = np.array(prior.score(len(recent_BH)), order="C")
    row_BH = np.broadcast_to(np.arange(len(recent_BH))[:, None], recent_BH.shape)
    bonus_BH = np.broadcast_to(1.0 + 1.0 / np.arange(1, width + 1), recent_BH.shape)
    is_ad_BH = recent_BH >= 0
    flat = row_BH[is_ad_BH] * num_ads + recent_BH[is_ad_BH]
    np.maximum.at(score_BA.reshape(-1), flat, bonus_BH[is_ad_BH])
    return score_BA
