"""Tests of the floors of the evaluation day."""

from dataclasses import replace

import numpy as np
import pytest

from gpr_core.evaluation.floors import fit_floors, fit_popularity
from tests.mini_day import CUTOFF, PARAMS


@pytest.fixture(scope="module")
def day(mini_day):
    return mini_day.prepare(max_requests=3)


def scores_of(day):
    """Score the catalog after the same two ads, by every floor."""
    popularity = fit_popularity(day, PARAMS, cutoff_ts=CUTOFF)
    floors = fit_floors(day, PARAMS, cutoff_ts=CUTOFF, popularity=popularity)
    return {name: score(np.array([[1, 0]])) for name, score in floors.items()}


def test_every_floor_scores_the_whole_catalog(day):
    scores = scores_of(day)
    assert list(scores) == ["popularity", "transitions", "repeat_last", "item_knn"]
    for score_BA in scores.values():
        assert score_BA.shape == (1, day.catalog.catalog.trie.num_ads)
        assert np.isfinite(score_BA).all()
    assert scores["repeat_last"][0].argmax() == 1


def test_what_is_shown_on_the_day_moves_no_floor(day):
    shown = day.exposures
    other = replace(shown, rank_M=np.where(shown.ts_M >= CUTOFF, 0, shown.rank_M))
    assert (other.rank_M != shown.rank_M).any()
    before, after = scores_of(day), scores_of(replace(day, exposures=other))
    for name, score_BA in before.items():
        assert np.array_equal(score_BA, after[name]), name


def test_popularity_forgets_with_the_half_life_of_the_parameters(day):
    short = fit_popularity(day, replace(PARAMS, popularity_half_life_days=0.1), cutoff_ts=CUTOFF)
    assert not np.array_equal(short.share_A, fit_popularity(day, PARAMS, cutoff_ts=CUTOFF).share_A)
