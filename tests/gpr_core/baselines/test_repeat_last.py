import numpy as np
import pytest

from gpr_core.baselines.popularity import Popularity
from gpr_core.baselines.repeat_last import repeat_last_scores

PRIOR = Popularity(np.array([0.6, 0.3, 0.1, 0.0]))


def test_most_recent_exposure_leads_and_unseen_ads_follow_by_popularity():
    scores = repeat_last_scores(np.array([[2, 3, 2], [-1, -1, -1]]), PRIOR)
    assert scores[0].tolist() == pytest.approx([0.6, 0.3, 2.0, 1.5])
    assert scores[1].tolist() == pytest.approx([0.6, 0.3, 0.1, 0.0])


def test_an_ad_seen_long_ago_still_beats_the_most_popular_one():
    recent_BH = np.full((1, 60), -1)
    recent_BH[0, 59] = 3
    assert repeat_last_scores(recent_BH, PRIOR)[0].argmax() == 3
