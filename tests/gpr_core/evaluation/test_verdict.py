import pytest

from gpr_core.evaluation.config import VerdictConfig
from gpr_core.evaluation.intervals import Interval
from gpr_core.evaluation.verdict import Comparison, Evidence, decide


def make_interval(value, ci_low, ci_high):
    return Interval(value=value, ci_low=ci_low, ci_high=ci_high, n=50)


def make_comparison(other, value, ci_low, ci_high):
    return Comparison(other=other, difference=make_interval(value, ci_low, ci_high))


def make_evidence(**changes):
    arguments = {
        "illegal_ads": 0,
        "hit_rate_label": "HR_ad@10",
        "hit_rate_against_floor": make_comparison(0.10, 0.05, 0.01, 0.09),
    } | changes
    return Evidence(**arguments)


def with_champion(**changes):
    arguments = {
        "champion": "2026-03-01-abc",
        "hit_rate_against_champion": make_comparison(0.20, 0.001, -0.009, 0.01),
        "final_value_against_champion": make_comparison(0.50, 0.01, -0.02, 0.04),
    } | changes
    return make_evidence(**arguments)


def failed(evidence):
    return [rule.name for rule in decide(evidence, VerdictConfig()).rules if not rule.passed]


def test_first_day_promotes_a_legal_policy_above_the_popularity_floor():
    verdict = decide(make_evidence(), VerdictConfig())
    assert verdict.promote
    assert verdict.reasons() == [
        "every emitted ad may serve its request",
        "HR_ad@10 is above the popularity floor 0.1000: difference +0.0500 [+0.0100, +0.0900]",
    ]


def test_a_lower_end_of_zero_does_not_beat_the_floor():
    evidence = make_evidence(hit_rate_against_floor=make_comparison(0.1, 0.05, 0.0, 0.1))
    verdict = decide(evidence, VerdictConfig())
    assert not verdict.promote
    assert verdict.reasons()[0] == (
        "HR_ad@10 is not surely above the popularity floor 0.1000: "
        "difference +0.0500 [+0.0000, +0.1000]"
    )


def test_one_illegal_ad_refuses():
    assert failed(make_evidence(illegal_ads=1)) == ["legal"]


def test_a_comparison_without_requests_refuses():
    empty = Comparison(other=0.1, difference=None)
    assert failed(make_evidence(hit_rate_against_floor=empty)) == ["beats_popularity"]


def test_a_champion_may_be_missed_by_the_margin_but_not_by_more():
    # 5 % of 0.20 is 0.01: a lower end of -0.009 passes, -0.011 does not.
    assert failed(with_champion()) == []
    worse = make_comparison(0.20, 0.001, -0.011, 0.01)
    assert failed(with_champion(hit_rate_against_champion=worse)) == ["hit_rate_not_worse"]
    poor = make_comparison(0.50, -0.02, -0.03, 0.0)
    assert failed(with_champion(final_value_against_champion=poor)) == ["final_value_not_worse"]


def test_a_champion_that_was_not_compared_refuses():
    assert failed(with_champion(hit_rate_against_champion=None)) == ["hit_rate_not_worse"]


@pytest.mark.parametrize(("value", "expected"), [(0.50, []), (0.49, ["simulator_fidelity"])])
def test_a_simulator_that_disagrees_with_the_truth_refuses(value, expected):
    assert failed(make_evidence(fidelity=make_interval(value, 0.4, 0.6))) == expected


GROWN, SHRUNK = make_interval(1.0, 0.5, 1.5), make_interval(-1.0, -1.5, -0.5)


def hacking(gap, true, **rules):
    """Say whether the rule against reward hacking refuses; true value was 40 before."""
    true = Comparison(other=40.0, difference=true)
    evidence = make_evidence(value_gap_growth=gap, true_value_growth=true)
    [found] = [
        rule
        for rule in decide(evidence, VerdictConfig(**rules)).rules
        if rule.name == "no_reward_hacking"
    ]
    return not found.passed


def test_a_growing_gap_refuses_only_while_true_value_surely_falls():
    unsure = make_interval(-0.1, -0.5, 0.3)
    assert hacking(GROWN, SHRUNK)
    assert not hacking(GROWN, GROWN)
    assert not hacking(GROWN, unsure)
    assert not hacking(SHRUNK, SHRUNK)
    assert not hacking(unsure, SHRUNK)


def test_a_loss_of_true_value_may_be_granted():
    # 1 % of 40 is 0.4 and 2 % is 0.8; the upper end of the fall is 0.5.
    assert hacking(GROWN, SHRUNK, max_true_value_loss=0.01)
    assert not hacking(GROWN, SHRUNK, max_true_value_loss=0.02)


def test_true_values_that_cannot_be_compared_refuse():
    assert hacking(GROWN, None)
