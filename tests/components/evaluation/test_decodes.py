from dataclasses import replace

import numpy as np
import pytest

from components.evaluation.decodes import example_decode
from gpr_core.generation.explanation import Fate
from tests.mini_day import PARAMS


@pytest.fixture
def day(mini_day):
    """The drawn day, where ads 0 to 9 may not serve the first request and all others may not."""
    day = mini_day.prepare()
    eligible_BA = day.eligible_BA.copy()
    eligible_BA[0, :10] = False
    eligible_BA[1:] = False
    return replace(day, eligible_BA=eligible_BA)


def look(mini_day, day, tmp_path):
    context = mini_day.context(tmp_path, params=replace(PARAMS, value_candidates=1))
    return example_decode(context, day, mini_day.curated.canonical["ads"])


def test_the_first_request_with_most_fates_is_shown(mini_day, day, tmp_path):
    view = look(mini_day, day, tmp_path)
    assert view.request_key == day.column("request_key")[0]
    assert (view.num_ads, view.num_eligible) == (32, day.eligible_BA[0].sum())
    assert [level.level for level in view.levels] == [0, 1]
    assert {Fate.KEPT, Fate.NO_ELIGIBLE_AD} <= {
        fate for level in view.levels for fate, count in level.counts.items() if count
    }


def test_items_without_titles_are_named_by_their_category(mini_day, day, tmp_path):
    view = look(mini_day, day, tmp_path)
    assert all(row.label.startswith("category ") for level in view.levels for row in level.rows)


def test_one_request_alone_gives_the_same_decode(mini_day, day, tmp_path):
    whole = look(mini_day, day, tmp_path)
    alone = replace(
        day,
        requests=day.requests.slice(0, 1),
        eligible_BA=day.eligible_BA[:1],
        shown=day.shown.take(np.array([0])),
    )
    for mine, theirs in zip(look(mini_day, alone, tmp_path).levels, whole.levels, strict=True):
        assert mine.counts == theirs.counts
        assert [row.codes for row in mine.rows] == [row.codes for row in theirs.rows]
        scores = [[row.score for row in level.rows] for level in (mine, theirs)]
        np.testing.assert_allclose(*scores, rtol=1e-5)


def test_a_day_on_which_nothing_may_serve_has_no_level(mini_day, day, tmp_path):
    nothing = replace(day, eligible_BA=np.zeros_like(day.eligible_BA))
    assert look(mini_day, nothing, tmp_path).levels == []
