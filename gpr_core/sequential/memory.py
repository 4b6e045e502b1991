"""A trained ranker that also remembers what followed what.

A model with few numbers per item forgets rare pairs, which a table of transitions keeps. Both speak
of the same event, so their log-probabilities are added, the table with a small weight.

Letters: B users, A items.
"""

import numpy as np

from gpr_core.sequential.floors import TransitionFloor
from gpr_core.sequential.ranking import Ranker, Scores, ranking_metrics, target_ranks
from gpr_core.sequential.sequences import Histories, LeaveOneOut

WEIGHTS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3)
# Pairs that were never seen keep this probability, so that the table vetoes nothing.
_SMALLEST = 1e-5
_CRITERION = "ndcg@10"


class TransitionMemory:
    """Adds log-probabilities of transitions to those of a ranker.

    Args:
        ranker: Gives log-probabilities.
        transitions: Fitted on the same training sequences.
        weight: Weight of the transitions, >= 0; 0 is the ranker alone.
    """

    def __init__(self, ranker: Ranker, transitions: TransitionFloor, weight: float) -> None:
        self._ranker = ranker
        self._transitions = transitions
        self.weight = weight

    def score(self, history: Histories) -> Scores:
        """Score every item.

        Args:
            history: Sequences of B users, none of them empty.

        Returns:
            [B, A] float32, not normalized.
        """
        count_BA = self._transitions.score(history)
        share_BA = count_BA / np.maximum(count_BA.sum(axis=1, keepdims=True), _SMALLEST)
        remembered_BA = np.log(share_BA + _SMALLEST)
        scores: Scores = self._ranker.score(history) + self.weight * remembered_BA
        return scores


def choose_memory(
    ranker: Ranker, transitions: TransitionFloor, validation: LeaveOneOut
) -> TransitionMemory:
    """Choose the weight of the transitions on the validation item.

    Args:
        ranker: Gives log-probabilities.
        transitions: Fitted on the training sequences.
        validation: Users by whom the weight is chosen.

    Returns:
        The ranker with the weight from `WEIGHTS` that reaches the highest NDCG@10, the smaller one
        in a tie.
    """
    candidates = [TransitionMemory(ranker, transitions, weight) for weight in WEIGHTS]
    reached = [
        ranking_metrics(target_ranks(one, validation))[_CRITERION].mean() for one in candidates
    ]
    return candidates[int(np.argmax(reached))]
