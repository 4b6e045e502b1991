"""The floors that every method of the evaluation day is measured beside.

They are fitted on what was shown before the day, and score the whole catalog by what a user was
shown last.

Letters: B requests, H remembered exposures, A ads by rank.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from gpr_core.baselines.item_knn import ItemKnn
from gpr_core.baselines.popularity import Popularity
from gpr_core.baselines.repeat_last import repeat_last_scores
from gpr_core.baselines.transitions import LastItemTransitions
from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.next_day import NextDay

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Scorer = Callable[[Ints], Floats]
"""[B, H] int64 ranks of the ads shown last, most recent first, -1 pads -> [B, A] float64."""


def fit_popularity(day: NextDay, config: EvaluationConfig, *, cutoff_ts: int) -> Popularity:
    """Fit the popularity of the ads before the evaluation day.

    Args:
        day: The evaluation day.
        config: Half-life.
        cutoff_ts: End of the training days, epoch ms.

    Returns:
        The floor.
    """
    known = day.exposures.before(cutoff_ts)
    return Popularity.fit(
        known.rank_M,
        known.ts_M,
        num_ads=day.catalog.catalog.trie.num_ads,
        cutoff_ts=cutoff_ts,
        half_life_days=config.popularity_half_life_days,
    )


def fit_floors(
    day: NextDay, config: EvaluationConfig, *, cutoff_ts: int, popularity: Popularity
) -> Mapping[str, Scorer]:
    """Fit all floors on what was shown before the evaluation day.

    Args:
        day: The evaluation day.
        config: Window of the transitions.
        cutoff_ts: End of the training days, epoch ms.
        popularity: Fitted on the same.

    Returns:
        Floor -> what scores the catalog.
    """
    known = day.exposures.before(cutoff_ts)
    transitions = LastItemTransitions.fit(
        known.user_M, known.ts_M, known.rank_M, prior=popularity, window=config.transition_window
    )
    return {
        "popularity": lambda recent: popularity.score(len(recent)),
        "transitions": transitions.score,
        "repeat_last": lambda recent: repeat_last_scores(recent, popularity),
        "item_knn": ItemKnn.fit(known.user_M, known.rank_M, prior=popularity).score,
    }
