from math import log

import numpy as np
import pytest

from gpr_core.objectives.value_weights import (
    LoggedValue,
    ValueWeightConstants,
    ValueWeightRule,
    clipped_share,
    fit_value_weights,
    raw_value,
    value_weights,
)
from gpr_core.support.errors import ArtifactError, ContractError, ShapeError
from gpr_core.support.files import write_json
from gpr_core.support.seeding import numpy_stream

RULE = ValueWeightRule()
CPM, CPC, OCPA = 0, 1, 2


def make_logged(*rows):
    """Build decisions from (action, bid type, eCPM, p_ctr, p_cvr)."""
    action, bid_type, *numbers = zip(*rows, strict=True)
    codes = (np.array(action, dtype=np.int8), np.array(bid_type, dtype=np.int8))
    return LoggedValue(*codes, *(np.array(column, dtype=np.float64) for column in numbers))


def make_calibrated(num=20_000):
    """Draw outcomes with the very probabilities that the log predicts."""
    draw = numpy_stream(0, "calibrated")
    p_ctr, p_cvr = draw.beta(2, 60, num), draw.beta(2, 20, num)
    is_click = draw.random(num) < p_ctr
    is_conversion = is_click & (draw.random(num) < p_cvr)
    action = is_click.astype(np.int8) + is_conversion
    bid_type = draw.integers(0, 3, num).astype(np.int8)
    bid = draw.lognormal(0, 0.8, num)
    ecpm = np.choose(bid_type, [10 * bid, 1000 * p_ctr * bid, 1000 * p_ctr * p_cvr * 10 * bid])
    return LoggedValue(action, bid_type, ecpm, p_ctr, p_cvr)


def test_the_denominator_holds_what_the_ecpm_contains():
    logged = make_logged(
        *((action, bid, 6.0, 0.02, 0.1) for bid in (CPM, CPC, OCPA) for action in (0, 1, 2))
    )
    assert raw_value(logged, RULE) == pytest.approx([6, 6, 6, 6, 300, 300, 6, 300, 3000])


def test_tiny_probabilities_are_floored():
    logged = make_logged((1, CPC, 1.0, 1e-9, 0.5), (2, OCPA, 1.0, 1e-9, 1e-9))
    assert raw_value(logged, RULE) == pytest.approx([1e4, 1e7])


def test_weights_follow_the_definition():
    logged = make_logged((0, CPM, 2.0, 0.5, 0.5), (0, CPM, 2.0, 0.5, 0.5), (1, CPC, 1.0, 0.5, 0.5))
    constants = fit_value_weights(logged, RULE)
    # Reference 2; impressions log 2; the click 2 log(1 + (1 / 0.5) / 2) = 2 log 2; mean 4/3 log 2.
    assert constants.reference_ecpm == 2.0
    assert constants.mean_unclipped == pytest.approx(4 / 3 * log(2))
    assert constants.scale == pytest.approx(1)
    assert value_weights(logged, constants) == pytest.approx([0.75, 0.75, 1.5])


def test_the_clip_binds_and_the_mean_is_one_all_the_same():
    rows = [(0, CPM, 1.0, 0.5, 0.5)] * 98 + [(0, CPM, 0.0, 0.5, 0.5), (2, OCPA, 1.0, 1e-3, 1e-3)]
    logged = make_logged(*rows)
    constants = fit_value_weights(logged, RULE)
    omega = value_weights(logged, constants)
    assert omega.mean() == pytest.approx(1)
    assert omega[-2] == pytest.approx(0.1 * constants.scale)
    assert omega[-1] == pytest.approx(10 * constants.scale)
    assert clipped_share(logged, constants) == pytest.approx(0.02)


def test_a_conversion_weighs_more_than_a_click_and_a_click_more_than_an_impression():
    logged = make_calibrated()
    constants = fit_value_weights(logged, RULE)
    omega = value_weights(logged, constants)
    means = [omega[logged.action_B == action].mean() for action in (0, 1, 2)]
    assert means[0] < means[1] < means[2]
    assert omega.mean() == pytest.approx(1)
    assert clipped_share(logged, constants) < 0.05


def test_constants_are_reused_unchanged_on_other_decisions(tmp_path):
    constants = fit_value_weights(make_calibrated(), RULE)
    constants.save(tmp_path / "value_weights.json")
    loaded = ValueWeightConstants.load(tmp_path / "value_weights.json")
    assert loaded == constants
    later = make_logged((0, CPM, 4.0, 0.1, 0.1))
    unclipped = log(1 + 4.0 / constants.reference_ecpm) / constants.mean_unclipped
    assert value_weights(later, loaded) == pytest.approx([unclipped * constants.scale])


def test_no_decisions_have_no_clipped_share():
    none = make_logged((0, CPM, 4.0, 0.1, 0.1))
    empty = LoggedValue(*(column[:0] for column in none))
    assert clipped_share(empty, fit_value_weights(none, RULE)) == 0.0


def test_decisions_without_value_are_refused():
    with pytest.raises(ContractError, match=r"median eCPM of 1 training decisions is 0\.0"):
        fit_value_weights(make_logged((0, CPM, 0.0, 0.1, 0.1)), RULE)


def test_columns_of_different_lengths_are_refused():
    logged = make_logged((0, CPM, 4.0, 0.1, 0.1))
    with pytest.raises(ShapeError, match="p_ctr_B has shape"):
        raw_value(logged._replace(p_ctr_B=np.ones(2)), RULE)


def test_constants_of_another_version_are_refused(tmp_path):
    write_json(tmp_path / "value_weights.json", {"version": 0})
    with pytest.raises(ArtifactError, match="not of version 1"):
        ValueWeightConstants.load(tmp_path / "value_weights.json")
