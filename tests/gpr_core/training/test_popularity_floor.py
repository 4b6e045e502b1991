import math

import numpy as np
import pytest
import torch

from gpr_core.catalog.trie import Trie
from gpr_core.training.config import SequenceConfig
from gpr_core.training.examples import build_examples
from gpr_core.training.popularity_floor import (
    Popularity,
    count_exposures,
    floor_windows,
    popularity_hits,
    popularity_nll,
)
from tests.gpr_core.training.small_corpus import CUTOFF_TS, make_small_corpus

# Ads by rank: [0, 0], [0, 1], [1, 0]; nodes: root, (0), (1), (0, 0), (0, 1), (1, 0).
TRIE = Trie.build(
    np.array([[0, 0], [0, 1], [1, 0]], dtype=np.int16), np.array([1, 2, 3], np.uint64), (2, 2)
)
POPULARITY = Popularity(torch.tensor([3, 0, 1]), torch.tensor([4, 3, 1, 3, 0, 1]))


def test_paths_are_scored_by_smoothed_shares_of_the_legal_codes() -> None:
    legal = [
        torch.tensor([[True, True], [True, False]]),
        torch.tensor([[True, True], [True, True]]),
    ]
    nll = popularity_nll(POPULARITY, TRIE, torch.tensor([[0, 1], [0, 0]]), legal)
    first = -math.log(3.5 / 5.0) - math.log(0.5 / 4.0)
    second = -math.log(3.5 / 3.5) - math.log(3.5 / 4.0)
    assert nll.tolist() == pytest.approx([first, second])


def test_hits_count_only_eligible_ads() -> None:
    eligible = torch.tensor(
        [[True, True, True], [False, True, True], [True, True, True], [False, True, True]]
    )
    # Order by exposures: rank 0, rank 2, rank 1.
    ranks = torch.tensor([2, 2, 1, 0])
    assert popularity_hits(POPULARITY, eligible, ranks, 1).tolist() == [False, True, False, False]
    assert popularity_hits(POPULARITY, eligible, ranks, 2).tolist() == [True, True, False, False]


def test_only_decisions_of_the_loss_are_counted() -> None:
    corpus = make_small_corpus()
    examples = build_examples(
        corpus.tables, corpus.catalog, SequenceConfig(), num_heads=2, cutoff_ts=CUTOFF_TS, seed=0
    )
    trie = corpus.catalog.trie
    windows = floor_windows(CUTOFF_TS, int(examples.context.ts.min()))
    everything = count_exposures(examples, trie, since_ts=windows["all"])
    assert int(everything.count_A.sum()) == int(examples.is_loss_X.sum())
    assert int(everything.count_N[0]) == int(examples.is_loss_X.sum())
    week = count_exposures(examples, trie, since_ts=windows["week"])
    assert 0 < int(week.count_A.sum()) < int(everything.count_A.sum())
    leaves = slice(trie.level_start[3], trie.num_nodes)
    assert int(everything.count_N[leaves].sum()) == int(everything.count_A.sum())
