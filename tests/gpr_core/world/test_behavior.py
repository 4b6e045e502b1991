import numpy as np
import pytest
from scipy.special import expit

from gpr_core.world.behavior import (
    Logits,
    Offsets,
    Pairs,
    Probabilities,
    context_effect,
    draw_outcomes,
    probabilities,
    recent_intent,
    true_logits,
)
from gpr_core.world.taxonomy import build_ads
from gpr_core.world.users import build_population


@pytest.fixture(scope="module")
def ads(config):
    return build_ads(config, 120)


@pytest.fixture(scope="module")
def population(config):
    return build_population(config)


def one_pair(**changes):
    base = Pairs(
        user_M=np.array([0]),
        ad_M=np.array([5]),
        day_M=np.array([20_454]),
        scene_M=np.array([0]),
        position_M=np.array([0]),
        like_category_M=np.array([0.0]),
        like_brand_M=np.array([0.0]),
        intent_M=np.array([0.0]),
        shown_M=np.array([0]),
    )
    return base._replace(**{name: np.array([value]) for name, value in changes.items()})


@pytest.mark.parametrize(
    ("change", "click", "conversion", "hide"),
    [
        ({"like_category_M": 1.0}, 1.5, 0.0, -1.0),
        ({"like_brand_M": -1.0}, -1.0, 0.0, 0.7),
        ({"intent_M": 1.0}, 0.8, 0.8, 0.0),
        ({"shown_M": 3}, -0.3 * np.log(4), 0.0, 0.25 * np.log(4)),
        ({"scene_M": 1, "position_M": 2}, 0.2 - 0.12, 0.0, 0.0),
    ],
)
def test_each_cause_moves_the_logits_by_its_coefficient(
    config, population, ads, change, click, conversion, hide
):
    before = true_logits(config, population, ads, one_pair())
    after = true_logits(config, population, ads, one_pair(**change))
    moved = [float(new[0] - old[0]) for new, old in zip(after, before, strict=True)]
    np.testing.assert_allclose(moved, [click, conversion, hide], atol=1e-12)


def test_a_high_price_puts_the_price_sensitive_off(config, population, ads):
    [dear, *_] = np.flatnonzero(ads.product_A == ads.products.log_price_P.argmax())
    calm, sensitive = (int(pick(population.price_sense_U)) for pick in (np.argmin, np.argmax))
    logits = [
        true_logits(config, population, ads, one_pair(user_M=user, ad_M=int(dear))).conversion_M[0]
        for user in (calm, sensitive)
    ]
    gap = population.price_sense_U[sensitive] - population.price_sense_U[calm]
    assert logits[0] - logits[1] == pytest.approx(gap * ads.products.log_price_P.max())


def test_intent_is_one_after_five_fresh_events():
    np.testing.assert_allclose(recent_intent(np.array([0.0, 5.0])), [0.0, 1.0])
    assert recent_intent(np.array([1.0])).dtype == np.float32


def test_context_effects_add_up():
    np.testing.assert_allclose(
        context_effect(np.array([0, 1, 2]), np.array([0, 1, 5])), [0.0, 0.14, -0.5]
    )


def test_offsets_are_added_before_squashing():
    logits = Logits(np.array([0.5]), np.array([-1.0]), np.array([2.0]))
    truth = probabilities(logits, Offsets(-0.5, 1.0, -5.0))
    np.testing.assert_allclose(np.stack(truth)[:, 0], [0.5, 0.5, expit(-3.0)])


def flat(p_ctr, p_cvr, p_neg, size):
    return Probabilities(*(np.full(size, p) for p in (p_ctr, p_cvr, p_neg)))


def test_outcomes_happen_as_often_as_their_probability(config, ads):
    size = 40_000
    keys, ad = np.arange(size, dtype=np.uint64), np.arange(size) % 120
    outcomes = draw_outcomes(config, ads, keys, ad, flat(0.3, 0.5, 0.1, size))
    assert outcomes.is_click_M.mean() == pytest.approx(0.3, abs=0.012)
    assert outcomes.is_conversion_M.mean() == pytest.approx(0.15, abs=0.01)
    assert outcomes.is_hide_M.mean() == pytest.approx(0.1, abs=0.008)
    assert not (outcomes.is_conversion_M & ~outcomes.is_click_M).any()


def test_a_higher_probability_never_loses_an_outcome(config, ads):
    size = 5_000
    keys, ad = np.arange(size, dtype=np.uint64), np.arange(size) % 120
    low = draw_outcomes(config, ads, keys, ad, flat(0.1, 0.5, 0.1, size))
    high = draw_outcomes(config, ads, keys, ad, flat(0.2, 0.5, 0.1, size))
    assert (high.is_click_M | ~low.is_click_M).all()


def test_outcomes_depend_on_request_and_ad_only(config, ads):
    keys, ad = np.arange(100, dtype=np.uint64), np.arange(100)
    whole = draw_outcomes(config, ads, keys, ad, flat(0.5, 0.5, 0.5, 100))
    back = draw_outcomes(config, ads, keys[::-1], ad[::-1], flat(0.5, 0.5, 0.5, 100))
    for first, second in zip(whole, back, strict=True):
        np.testing.assert_array_equal(first, second[::-1])


def test_delays_have_their_median_and_tail(config, ads):
    size = 40_000
    keys, ad = np.arange(size, dtype=np.uint64), np.arange(size) % 120
    outcomes = draw_outcomes(config, ads, keys, ad, flat(0.5, 0.5, 0.5, size))
    hours = outcomes.conversion_delay_ms_M / 3_600_000
    assert np.median(hours) == pytest.approx(6.0, rel=0.05)
    assert (hours < 5 * 24).mean() == pytest.approx(0.95, abs=0.005)
    assert np.median(outcomes.click_delay_ms_M) == pytest.approx(4_000, rel=0.05)
    assert min(outcomes.click_delay_ms_M.min(), outcomes.ingest_lag_ms_M.min()) >= 1
    assert outcomes.value_micros_M.min() >= 1
