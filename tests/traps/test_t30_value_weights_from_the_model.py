"""T30: VAFT weights that follow the model in training, or that are not clipped."""

import numpy as np

from components.corpus_curation.spec import SPEC as CURATION
from components.vaft.spec import SPEC as VAFT
from gpr_core.objectives.value_weights import (
    LoggedValue,
    ValueWeightRule,
    fit_value_weights,
    value_weights,
)
from gpr_core.support.seeding import numpy_stream

RULE = ValueWeightRule()


def make_log(num=4000):
    """Draw a log with the predictions of the ranker that served."""
    draw = numpy_stream(0, "t30")
    p_ctr, p_cvr = draw.beta(2, 60, num), draw.beta(2, 20, num)
    is_click = draw.random(num) < p_ctr
    action = is_click.astype(np.int8) + (is_click & (draw.random(num) < 0.3))
    bid_type = draw.integers(0, 3, num).astype(np.int8)
    ecpm = 1000 * p_ctr * draw.lognormal(0, 0.8, num)
    return LoggedValue(action, bid_type, ecpm, p_ctr, p_cvr)


def from_the_log(log, model_p_ctr):
    """Weigh as the project does: the model is not asked."""
    return value_weights(log, fit_value_weights(log, RULE))


def from_the_model(log, model_p_ctr):
    """The broken twin: the value head of the model in training stands in the denominator."""
    moving = log._replace(p_ctr_B=model_p_ctr)
    return value_weights(moving, fit_value_weights(moving, RULE))


def stands_still(weigh):
    """Say whether another model leaves the weights as they are."""
    log = make_log()
    return np.array_equal(weigh(log, log.p_ctr_B * 0.5), weigh(log, log.p_ctr_B * 2.0))


def test_altering_the_model_leaves_the_weights_identical():
    assert stands_still(from_the_log)


def test_weights_of_the_model_in_training_are_caught():
    assert not stands_still(from_the_model)


def test_the_weights_are_an_input_of_the_step_made_before_any_model_exists():
    assert CURATION.inputs == ()
    assert "value_weights.parquet" in CURATION.outputs[0].contracts
    assert "corpus" in VAFT.inputs


def is_bounded(omega):
    """Say whether no decision outweighs another by more than the clip allows."""
    return omega.max() / omega.min() <= RULE.clip_high / RULE.clip_low * (1 + 1e-9)


def test_weights_are_clipped():
    log = make_log()
    extreme = log._replace(ecpm_B=np.where(np.arange(log.ecpm_B.size) == 0, 1e30, log.ecpm_B))
    extreme.ecpm_B[1] = 0.0
    assert is_bounded(from_the_log(extreme, None))
    constants = fit_value_weights(extreme, RULE)
    unclipped = np.log1p(extreme.ecpm_B / constants.reference_ecpm) + 1e-12
    assert not is_bounded(unclipped)
