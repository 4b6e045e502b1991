import numpy as np
import pytest

from components.evaluation.differences import compare, headline, paired_evidence
from gpr_core.evaluation.config import EvaluationConfig
from gpr_core.evaluation.intervals import UserBootstrap
from gpr_core.evaluation.measures import summarize

PARAMS = EvaluationConfig(resamples=100)
BOOTSTRAP = UserBootstrap(np.array([1, 2, 3, 4]), seed=0, resamples=100)


def make_columns(**methods):
    return {
        f"{name.replace('__', '/')}": np.array(values, dtype=float)
        for name, values in methods.items()
    }


COLUMNS = make_columns(hepo__ndcg=[1, 1, 0, 0], vaft__ndcg=[0, 0, 0, 0]) | {
    "hepo/HR_ad@10": np.array([1.0, 1.0, 1.0, 0.0]),
    "popularity/HR_ad@10": np.array([0.0, 1.0, 0.0, 0.0]),
}


def evidence(columns, champion=None):
    values = summarize(columns, BOOTSTRAP)
    return paired_evidence(columns, values, BOOTSTRAP, PARAMS, champion, {"hepo": 2})


def test_headline_is_the_configured_hit_rate():
    assert headline(PARAMS) == "HR_ad@10"


def test_only_what_was_measured_is_compared():
    rows = compare(COLUMNS, BOOTSTRAP, PARAMS)
    assert [(row.label, row.metric, row.interval.value) for row in rows] == [
        ("HEPO - VAFT", "nDCG", 0.5),
        ("HEPO - Popularity", "HR@10", 0.5),
    ]


def test_evidence_holds_the_paired_difference_to_the_floor():
    found = evidence(COLUMNS)
    assert (found.illegal_ads, found.champion) == (2, None)
    assert found.hit_rate_against_floor.other == 0.25
    assert found.hit_rate_against_floor.difference.value == 0.5
    assert found.hit_rate_against_champion is None
    assert found.fidelity is None


def test_a_floor_that_was_not_measured_cannot_be_beaten():
    columns = {name: value for name, value in COLUMNS.items() if "popularity" not in name}
    assert evidence(columns).hit_rate_against_floor.difference is None


def test_growth_is_measured_from_before_to_after_reinforcement():
    columns = COLUMNS | make_columns(
        hepo__value_gap=[3, 3, 3, 3],
        vaft__value_gap=[1, 1, 1, 1],
        hepo__true_value_mean=[5, 5, 5, 5],
        vaft__true_value_mean=[6, 6, 6, 6],
    )
    found = evidence(columns, champion="v")
    assert found.value_gap_growth.value == pytest.approx(2.0)
    assert found.true_value_growth.other == pytest.approx(6.0)
    assert found.true_value_growth.difference.value == pytest.approx(-1.0)
