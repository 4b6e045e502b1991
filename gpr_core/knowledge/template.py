"""The offline provider: counts of past events, put into fixed sentences.

It needs no network, no model and no random number; the same view gives the same text.

Letters: N events, K kinds of items, C actions.

Source: specification 3.5 (decayed affinities, complements, price band, trend word).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from gpr_core.data.tables import DAY_MS, Action, ItemKind, OrganicAction
from gpr_core.knowledge.provider import Thought
from gpr_core.knowledge.views import Events, UserView
from gpr_core.support.hashing import hash_value

Floats = npt.NDArray[np.float64]

_VERSION = 1
_NUM_CATEGORIES, _NUM_BRANDS = 3, 2
_RECENT_DAYS = 7
_RISE = 1.25
_FULL_CONFIDENCE_WEIGHT = 5.0
_SMALLEST_WEIGHT = 1e-12
_MIDDLE_PRICE, _HIGH_PRICE = 6, 11
# Which ads are shown is the choice of the system; only what the user did counts.
_WEIGHTS = {
    (ItemKind.CONTENT, OrganicAction.VIEW): 1.0,
    (ItemKind.CONTENT, OrganicAction.COMPLETE): 2.0,
    (ItemKind.CONTENT, OrganicAction.LIKE): 3.0,
    (ItemKind.CONTENT, OrganicAction.SHARE): 3.0,
    (ItemKind.CONTENT, OrganicAction.FOLLOW): 3.0,
    (ItemKind.CONTENT, OrganicAction.SKIP): -1.0,
    (ItemKind.AD, Action.IMPRESSION): 0.0,
    (ItemKind.AD, Action.CLICK): 3.0,
    (ItemKind.AD, Action.CONVERSION): 5.0,
    (ItemKind.AD, Action.HIDE): -3.0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateProvider:
    """Writes thoughts from counts.

    Attributes:
        half_life_days: Age at which an event counts half.
    """

    half_life_days: float = 14.0

    @property
    def name(self) -> str:
        """Name of the provider."""
        return "template"

    @property
    def prompt_hash(self) -> str:
        """Hash of template and settings."""
        return _prompt_hash(self.half_life_days)

    def generate(self, view: UserView) -> Thought:
        """Say what a user likes, may like next, pays, and where it is going.

        Args:
            view: The user at the start of a day.

        Returns:
            The thought; empty without consent or without a liked category.
        """
        events = view.events
        age_days_N = (view.as_of_ts - events.ts_N) / DAY_MS
        weight_N = _weight_table()[events.item_kind_N, events.action_N]
        weight_N = weight_N * 0.5 ** (age_days_N / self.half_life_days)
        categories = _top(events.category_N, weight_N, _NUM_CATEGORIES)
        if not (view.has_consent and categories):
            return Thought("", 0.0, self.name, self.prompt_hash)
        brands = _top(events.brand_N, weight_N, _NUM_BRANDS)
        found = [other for liked in categories for other in view.complements.get(liked, ())]
        fresh = list(dict.fromkeys(other for other in found if other not in categories))
        sentences = [
            _sentence("likes", "category", categories),
            _sentence("knows", "brand", brands),
            _sentence("may turn to", "category", fresh[:_NUM_CATEGORIES]),
            _price_sentence(events, weight_N),
            f"category{categories[0]} is {_trend(events, weight_N, age_days_N, categories[0])}",
        ]
        confidence = 1.0 - float(np.exp(-np.abs(weight_N).sum() / _FULL_CONFIDENCE_WEIGHT))
        text = ". ".join(sentence for sentence in sentences if sentence)
        return Thought(text, confidence, self.name, self.prompt_hash)


@lru_cache
def _prompt_hash(half_life_days: float) -> str:
    """Hash template and settings once, not once per user."""
    return hash_value({"version": _VERSION, "half_life_days": half_life_days})[:16]


@lru_cache
def _weight_table() -> Floats:
    """Lay the weights out by kind of item and action, [K, C]."""
    actions = [int(action) for _, action in _WEIGHTS]
    table_KC = np.zeros((len(ItemKind), max(actions) + 1))
    for (kind, action), weight in _WEIGHTS.items():
        table_KC[int(kind), int(action)] = weight
    return table_KC


def _top(value_N: npt.NDArray[np.int64], weight_N: Floats, count: int) -> list[int]:
    """Give the known values with the largest positive sums of weights, best first."""
    total = np.bincount(value_N, weights=weight_N, minlength=1)
    total[0] = 0.0
    order = np.argsort(-total, kind="stable")[:count]
    return [int(value) for value in order if total[value] > 0]


def _sentence(verb: str, noun: str, values: list[int]) -> str:
    """Say something about numbered categories or brands; nothing about none."""
    return f"{verb} " + ", ".join(f"{noun}{value}" for value in values) if values else ""


def _price_sentence(events: Events, weight_N: Floats) -> str:
    """Say in which price band the user acts on ads."""
    is_liked_N = (events.price_N > 0) & (weight_N > 0)
    if not is_liked_N.any():
        return ""
    mean = np.average(events.price_N[is_liked_N], weights=weight_N[is_liked_N])
    band = "high" if mean >= _HIGH_PRICE else "middle" if mean >= _MIDDLE_PRICE else "low"
    return f"takes {band} prices"


def _trend(events: Events, weight_N: Floats, age_days_N: Floats, category: int) -> str:
    """Compare the share of a category in the last days with its share before."""
    is_recent_N = age_days_N <= _RECENT_DAYS
    if is_recent_N.all():
        return "new"
    recent, earlier = (
        _share(weight_N[part_N], events.category_N[part_N] == category)
        for part_N in (is_recent_N, ~is_recent_N)
    )
    if recent > _RISE * earlier:
        return "rising"
    return "fading" if earlier > _RISE * recent else "steady"


def _share(weight_N: Floats, is_counted_N: npt.NDArray[np.bool_]) -> float:
    """Share of some events in the weight of all; 0 if there is none."""
    return float(weight_N[is_counted_N].sum() / max(np.abs(weight_N).sum(), _SMALLEST_WEIGHT))
