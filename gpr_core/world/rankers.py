"""What the logging rankers predict: interest seen in the logs, a keyed error, and a calibration.

They know neither threads nor tastes nor which brands a user dislikes.

B = requests, U = users, C = categories, X = brands.

Source: specification 6.2 (noisy p_ctr and noisy eCPM); the features are our own.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from gpr_core.data.keyed_sampling import keyed_normal
from gpr_core.data.tables import DAY_MS
from gpr_core.world.behavior import context_effect
from gpr_core.world.config import WorldConfig
from gpr_core.world.exposures import Exposures
from gpr_core.world.sessions import Requests
from gpr_core.world.taxonomy import AdCatalog, Floats, Ints

Singles = npt.NDArray[np.float32]

_MEAN_PRICE_SENSE = 0.5
_LEAST_P = 1e-6


class Line(NamedTuple):
    """Calibration of one ranker: predicted logit = intercept + slope * raw score.

    Attributes:
        intercept: Logit at raw score 0.
        slope: Logit per unit of raw score.
    """

    intercept: float
    slope: float


class Rankers(NamedTuple):
    """Calibration of the three rankers.

    Attributes:
        click: p_ctr.
        conversion: p_cvr, given a click.
        hide: p_neg.
    """

    click: Line
    conversion: Line
    hide: Line


@dataclass(frozen=True, slots=True)
class Profiles:
    """What the platform knows of users when the day begins, and at each request.

    Attributes:
        week_UC: [U, C] float64, organic events of a category, half counted after a week.
        brand_UX: [U, X] float64, liked organic events of a brand, half counted after a week.
        recent_BC: [B, C] float64, organic events before the request, half counted after 24 h.
        exposures: Impressions before this day.
    """

    week_UC: Floats
    brand_UX: Floats
    recent_BC: Floats
    exposures: Exposures


class Scores(NamedTuple):
    """Raw scores of (request, ad) pairs, any common shape.

    Attributes:
        click: float64.
        conversion: float64.
        hide: float64.
    """

    click: Floats
    conversion: Floats
    hide: Floats


class Predictions(NamedTuple):
    """Calibrated predictions, any common shape.

    Attributes:
        p_ctr: float32 in (0, 1).
        p_cvr: float32 in (0, 1).
        p_neg: float32 in (0, 1).
    """

    p_ctr: Singles
    p_cvr: Singles
    p_neg: Singles


class Ranking:
    """The three rankers on one day.

    Args:
        config: The world.
        ads: The ads launched so far.
        rankers: Calibration in force on this day.
        requests: Requests of the day.
        profiles: What is known of the users.
    """

    def __init__(
        self,
        config: WorldConfig,
        ads: AdCatalog,
        rankers: Rankers,
        requests: Requests,
        profiles: Profiles,
    ) -> None:
        self._noise_size = config.ranker_noise
        self._seed = config.seed
        self._rankers = rankers
        self._requests = requests
        self._profiles = profiles
        self._category_A, self._brand_A = ads.category_A, ads.brand_A
        self._log_popularity_A = np.log(ads.popularity_A)
        trust_A = keyed_normal(config.seed, "brand_trust", ads.brand_A)
        price_A = ads.products.log_price_P[ads.product_A]
        self._sells_A = 0.8 * trust_A - _MEAN_PRICE_SENSE * price_A

    def retrieval(self, row_B: Ints, ad_K: Ints) -> Floats:
        """Score ads by popularity times interest in their category, as logarithms.

        Args:
            row_B: [B] int64, rows of requests.
            ad_K: [K] int64, rows of ads.

        Returns:
            [B, K] float64.
        """
        profiles, user_B = self._profiles, self._requests.user_B[row_B]
        interest_BC = np.log1p(profiles.recent_BC[row_B]) + np.log1p(profiles.week_UC[user_B])
        return np.asarray(self._log_popularity_A[ad_K] + interest_BC[:, self._category_A[ad_K]])

    def scores(self, row: Ints, ad: Ints) -> Scores:
        """Compute raw scores of (request, ad) pairs.

        Args:
            row: Rows of requests, broadcast against `ad`.
            ad: Rows of ads.

        Returns:
            Scores in the broadcast shape.
        """
        requests, profiles = self._requests, self._profiles
        user, category, day = requests.user_B[row], self._category_A[ad], requests.ts_B[row]
        recent = np.log1p(profiles.recent_BC[row, category])
        week = np.log1p(profiles.week_UC[user, category])
        liked = np.log1p(profiles.brand_UX[user, self._brand_A[ad]])
        seen = np.log1p(profiles.exposures.of(user, ad))
        noise = self._noise_size * keyed_normal(self._seed, "noise", user, ad, day // DAY_MS)
        buy_noise = self._noise_size * keyed_normal(self._seed, "buy_noise", ad, day // DAY_MS)
        interest = 0.5 * recent + 0.45 * week + 0.35 * liked
        where = context_effect(requests.scene_B[row], requests.position_B[row])
        return Scores(
            click=interest - 0.3 * seen + where + noise,
            conversion=0.45 * recent + self._sells_A[ad] + buy_noise,
            hide=-interest + 0.25 * seen + 0.5 * noise,
        )

    def predict(self, scores: Scores) -> Predictions:
        """Calibrate raw scores.

        Args:
            scores: Raw scores.

        Returns:
            Probabilities, strictly between 0 and 1.
        """
        probabilities = (
            np.clip(expit(line.intercept + line.slope * raw), _LEAST_P, 1 - _LEAST_P)
            for raw, line in zip(scores, self._rankers, strict=True)
        )
        return Predictions(*(values.astype(np.float32) for values in probabilities))
