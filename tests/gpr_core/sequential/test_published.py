"""A data set is known by its counts."""

import numpy as np

from gpr_core.sequential.published import published_for
from gpr_core.sequential.sequences import Histories, SequenceData


def with_counts(users, items, interactions):
    offset = np.minimum(np.arange(users + 1), interactions)
    offset[-1] = interactions
    return SequenceData(
        "any", np.arange(items), Histories(np.zeros(interactions, dtype=np.int64), offset)
    )


def test_beauty_is_known_whatever_its_file_is_called():
    best = max(published_for(with_counts(22363, 12101, 198502)), key=lambda row: row.recall_at_10)
    assert (best.method, best.recall_at_10, best.ndcg_at_10) == (
        "SASRec, sampled softmax",
        0.0921,
        0.0531,
    )


def test_nothing_is_shown_beside_another_data_set():
    assert published_for(with_counts(22363, 12101, 198503)) == ()
