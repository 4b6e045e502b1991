from math import nan

import numpy as np
import pyarrow as pa
import pytest

from gpr_core.catalog.bundle import Catalog
from gpr_core.evaluation.decode_view import (
    KEPT_ROWS,
    NUMBERS,
    OTHER_ROWS,
    PrefixRow,
    choose_example,
    describe_decode,
    titles_by_rank,
)
from gpr_core.generation.config import BeamConfig
from gpr_core.generation.explanation import FATES, Fate, Recorder, explain_request
from tests.conformance.generator import TabularPolicy, make_catalog, make_requests, run

NARROW = BeamConfig(
    num_candidates=1, width_factors=(2.0, 3.0), value_bonus=(0.5,), exhaustive_factor=0
)
TITLES = ["red tea", "green tea", "red car", "old car", "", "x", "red coat", "red coat, warm"]


def explain(paths, eligible, config=NARROW):
    """Decode one request; returns its levels and the catalog."""
    trie, ads = make_catalog(paths)
    recorder = Recorder()
    requests = make_requests([eligible])
    run(TabularPolicy(trie.codebook_sizes, seed=1), requests, trie, ads, config, observe=recorder)
    catalog = Catalog(version="c", tokenizer_version="t", trie=trie, ads=ads)
    return explain_request(recorder.levels, trie, requests.eligible, 0), catalog


@pytest.fixture
def view():
    """Four codes of two ads; the last has no eligible ad."""
    paths = [[code, leaf] for code in range(4) for leaf in range(2)]
    levels, catalog = explain(paths, [1] * 6 + [0] * 2)
    return describe_decode(9, 6, levels, catalog, TITLES)


def test_prefixes_are_labeled_by_the_titles_below_them(view):
    labels = {row.codes: row.label for row in view.levels[0].rows}
    assert labels[(0,)] == "tea, green, red"
    assert labels[(1,)] == "car, old, red"
    assert labels[(3,)] == "coat, red, warm"
    # A title without words: the category stands in.
    assert labels[(2,)] == "category 0"


def test_rows_carry_codes_counts_and_numbers(view):
    first, second = view.levels
    assert (first.level, first.width, first.title()) == (0, 2, "Level 1, width 2 per head")
    assert [first.counts[fate] for fate in FATES][-1] == 1
    dead = first.rows[-1]
    assert (dead.codes, dead.fate, dead.head) == ((3,), Fate.NO_ELIGIBLE_AD, -1)
    assert (dead.num_ads, dead.num_eligible) == (2, 0)
    assert np.isnan([dead.probability, dead.value, dead.score]).all()
    living = [row for row in first.rows if row.num_eligible]
    assert sum(row.probability for row in living) == pytest.approx(1.0)
    assert {len(row.codes) for row in second.rows} == {2}
    assert {row.codes[:1] for row in second.rows} == {
        row.codes for row in first.rows if row.fate in (Fate.KEPT, Fate.KEPT_BY_VALUE)
    }


def test_numbers_are_written_with_dashes_where_there_are_none():
    row = PrefixRow((3, 17), "tea", Fate.KEPT, 1, 0.1234, 0.5, -1.25, 1200, 7)
    assert row.name() == "3 / 17"
    assert row.numbers() == ("1,200", "7", "2", "12.34%", "+0.50", "-1.25")
    dead = PrefixRow((3,), "tea", Fate.NO_ELIGIBLE_AD, -1, nan, nan, nan, 12, 0)
    assert dead.numbers() == ("12", "0", "-", "-", "-", "-")
    assert len(NUMBERS) == len(dead.numbers())


def test_a_level_shows_only_the_foremost_but_counts_all():
    paths = [[code] for code in range(40)]
    config = BeamConfig(
        num_candidates=1, width_factors=(20.0,), value_bonus=(0.0,), share_by_value=False,
        exhaustive_factor=0,
    )  # fmt: skip
    levels, catalog = explain(paths, [1] * 30 + [0] * 10, config)
    [level] = describe_decode(9, 30, levels, catalog, [""] * 40).levels
    assert list(level.counts.values()) == [20, 0, 0, 10, 10]
    assert [row.fate for row in level.rows] == (
        [Fate.KEPT] * KEPT_ROWS
        + [Fate.CUT_BY_SCORE] * OTHER_ROWS
        + [Fate.NO_ELIGIBLE_AD] * OTHER_ROWS
    )
    kept = [row.probability for row in level.rows[:KEPT_ROWS]]
    assert kept == sorted(kept, reverse=True)


def test_an_exhaustive_search_is_called_so():
    levels, catalog = explain([[0], [1]], [1, 1], BeamConfig(num_candidates=5))
    [level] = describe_decode(9, 2, levels, catalog, ["", ""]).levels
    assert level.title() == "Level 1, exhaustive"


def test_the_first_decode_with_most_fates_is_the_example():
    plain, _ = explain([[0], [1]], [1, 1])
    rich, _ = explain([[0], [1], [2], [3]], [1, 1, 1, 0])
    assert choose_example([[], plain, rich, rich]) == 2
    assert choose_example([[], []]) == 0


def test_titles_follow_the_ranks_and_other_ads_are_left_out():
    trie, _ = make_catalog([[1], [0]], keys=[5, 8])
    ads = pa.table({"ad_key": pa.array([5, 6, 8], pa.uint64()), "title": ["five", "six", None]})
    assert titles_by_rank(ads, trie) == ["", "five"]
