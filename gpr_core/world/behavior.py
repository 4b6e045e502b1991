"""What a user does with an ad: true probabilities, outcomes and their delays.

M = flat (request, ad) pairs. The same functions serve the generator and the oracle, so that what
happens and what is later called true cannot differ. Every draw is keyed by request and ad: two
policies that show the same ad at the same request see the same outcome.

Source: specification 6.2; scales of the logits as printed there.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from gpr_core.data.keyed_sampling import keyed_normal, keyed_uniform
from gpr_core.data.tables import HOUR_MS
from gpr_core.world.config import WorldConfig
from gpr_core.world.taxonomy import AdCatalog, Floats, Ints, Keys
from gpr_core.world.users import Population

INTENT_HALF_LIFE_MS = 24 * HOUR_MS

_YEAR_DAYS = 365.25
_SCENE_EFFECT = np.array([0.0, 0.2, -0.2])
_POSITION_EFFECT = -0.06
_MEDIAN_CONVERSION_H = 6.0
# 95 % of a log-normal lie below median * exp(1.645 sigma): 5 days here.
_CONVERSION_SIGMA = float(np.log(5 * 24 / _MEDIAN_CONVERSION_H) / 1.645)
_LONGEST_CONVERSION_H = 30.0 * 24


class Offsets(NamedTuple):
    """Constants that bring the logged rates to their targets.

    Attributes:
        click: Added to the click logit.
        conversion: Added to the conversion logit.
        hide: Added to the hide logit.
    """

    click: float
    conversion: float
    hide: float


class Pairs(NamedTuple):
    """(request, ad) pairs and what is true of them.

    Attributes:
        user_M: [M] int64, row of the user.
        ad_M: [M] int64, row of the ad.
        day_M: [M] int64, day ordinal.
        scene_M: [M] int64.
        position_M: [M] int64.
        like_category_M: [M] float64, category affinity.
        like_brand_M: [M] float64, brand affinity.
        intent_M: [M] float64, recent intent for the ad's category.
        shown_M: [M] int64, earlier impressions of the ad to the user.
    """

    user_M: Ints
    ad_M: Ints
    day_M: Ints
    scene_M: Ints
    position_M: Ints
    like_category_M: Floats
    like_brand_M: Floats
    intent_M: Floats
    shown_M: Ints


class Logits(NamedTuple):
    """True logits without the offsets.

    Attributes:
        click_M: [M] float64.
        conversion_M: [M] float64, given a click.
        hide_M: [M] float64.
    """

    click_M: Floats
    conversion_M: Floats
    hide_M: Floats


class Probabilities(NamedTuple):
    """True probabilities.

    Attributes:
        p_ctr_M: [M] float64.
        p_cvr_M: [M] float64, given a click.
        p_neg_M: [M] float64.
    """

    p_ctr_M: Floats
    p_cvr_M: Floats
    p_neg_M: Floats


class Outcomes(NamedTuple):
    """What happened at each impression.

    Attributes:
        is_click_M: [M] bool.
        is_conversion_M: [M] bool, only where clicked.
        is_hide_M: [M] bool.
        click_delay_ms_M: [M] int64, from exposure.
        conversion_delay_ms_M: [M] int64, from the click.
        hide_delay_ms_M: [M] int64, from exposure.
        ingest_lag_ms_M: [M] int64, from any of the events to its landing.
        value_micros_M: [M] int64, order value of a conversion.
    """

    is_click_M: npt.NDArray[np.bool_]
    is_conversion_M: npt.NDArray[np.bool_]
    is_hide_M: npt.NDArray[np.bool_]
    click_delay_ms_M: Ints
    conversion_delay_ms_M: Ints
    hide_delay_ms_M: Ints
    ingest_lag_ms_M: Ints
    value_micros_M: Ints


def recent_intent(weight: Floats) -> npt.NDArray[np.float32]:
    """Turn decayed counts of organic events into an intent.

    Args:
        weight: Events of a category, each counted half after 24 hours.

    Returns:
        float32 >= 0 of the same shape; 1 after about five fresh events.
    """
    return np.asarray(np.log1p(weight) / np.log(6.0), dtype=np.float32)


def true_logits(
    config: WorldConfig, population: Population, ads: AdCatalog, pairs: Pairs
) -> Logits:
    """Compute what is true of (request, ad) pairs.

    Args:
        config: The world.
        population: The people.
        ads: The ads.
        pairs: The pairs.

    Returns:
        Logits without the offsets.
    """
    product_M = ads.product_A[pairs.ad_M]
    products = ads.products
    taste_M = np.einsum(
        "md,md->m", population.taste_UD[pairs.user_M], products.vector_PD[product_M]
    )
    fatigue_M = np.log1p(pairs.shown_M)
    season_M = _season(config.seed, "season", products.category_P[product_M], pairs.day_M)
    late_M = _season(config.seed, "season_buy", products.category_P[product_M], pairs.day_M)
    trust_M = keyed_normal(config.seed, "brand_trust", products.brand_P[product_M])
    click_M = (
        1.5 * pairs.like_category_M
        + 1.0 * pairs.like_brand_M
        + 0.7 * taste_M
        + 0.8 * pairs.intent_M
        + season_M
        + context_effect(pairs.scene_M, pairs.position_M)
        - 0.3 * fatigue_M
    )
    price_M = population.price_sense_U[pairs.user_M] * products.log_price_P[product_M]
    conversion_M = 0.8 * pairs.intent_M + 0.8 * trust_M - price_M + late_M
    hide_M = -1.0 * pairs.like_category_M - 0.7 * pairs.like_brand_M + 0.25 * fatigue_M
    return Logits(click_M, conversion_M, hide_M)


def context_effect(scene_M: Ints, position_M: Ints) -> Floats:
    """Say how much scene and position move the click logit.

    Args:
        scene_M: [M] int64, 0..2.
        position_M: [M] int64.

    Returns:
        [M] float64.
    """
    return np.asarray(_SCENE_EFFECT[scene_M] + _POSITION_EFFECT * position_M)


def probabilities(logits: Logits, offsets: Offsets) -> Probabilities:
    """Add the offsets and squash.

    Args:
        logits: Logits without offsets.
        offsets: Constants of this world.

    Returns:
        True probabilities.
    """
    return Probabilities(*(expit(z + c) for z, c in zip(logits, offsets, strict=True)))


def draw_outcomes(
    config: WorldConfig,
    ads: AdCatalog,
    request_key_M: Keys,
    ad_M: Ints,
    truth: Probabilities,
) -> Outcomes:
    """Let the impressions happen.

    Args:
        config: The world.
        ads: The ads.
        request_key_M: [M] uint64, keys of the requests.
        ad_M: [M] int64, rows of the ads.
        truth: True probabilities.

    Returns:
        Outcomes, with delays for each impression whether or not it has the event.
    """
    seed, keys = config.seed, (request_key_M, ads.key_A[ad_M])

    def draw(purpose: str) -> Floats:
        return keyed_uniform(seed, purpose, *keys)

    def delay_ms(purpose: str, median_ms: float, sigma: float, longest_ms: float) -> Ints:
        spread = np.exp(sigma * keyed_normal(seed, purpose, *keys))
        return np.minimum(median_ms * spread, longest_ms).astype(np.int64) + 1

    is_click_M = draw("click") < truth.p_ctr_M
    value = ads.products.order_value_P[ads.product_A[ad_M]]
    value = value * np.exp(0.3 * keyed_normal(seed, "order_value", *keys))
    return Outcomes(
        is_click_M=is_click_M,
        is_conversion_M=is_click_M & (draw("conversion") < truth.p_cvr_M),
        is_hide_M=draw("hide") < truth.p_neg_M,
        click_delay_ms_M=delay_ms("click_delay", 4_000, 0.8, 300_000),
        conversion_delay_ms_M=delay_ms(
            "conversion_delay",
            _MEDIAN_CONVERSION_H * HOUR_MS,
            _CONVERSION_SIGMA,
            _LONGEST_CONVERSION_H * HOUR_MS,
        ),
        hide_delay_ms_M=delay_ms("hide_delay", 3_000, 0.5, 60_000),
        ingest_lag_ms_M=delay_ms("ingest_lag", 3_000, 0.8, 600_000),
        value_micros_M=np.maximum(value * 1e6, 1.0).astype(np.int64),
    )


def _season(seed: int, purpose: str, category_M: Ints, day_M: Ints) -> Floats:
    """Move a category up and down over the year."""
    phase = keyed_uniform(seed, purpose, category_M)
    return np.asarray(0.3 * np.sin(2 * np.pi * (day_M / _YEAR_DAYS + phase)))
