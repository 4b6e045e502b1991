"""Weights of the value-aware fine-tuning (Eq 4): how much a logged decision was worth.

Computed from the predictions that the logging ranker made at serve time, and from nothing else: a
model in training must not set its own targets (T30). Letters: B decisions.

Source: Eq 4; floors, denominators and the log transform are specification 4.2.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gpr_core.data.tables import Action, BidType
from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.shapes import check_shape

Floats = npt.NDArray[np.float64]

_FILE_VERSION = 1


class LoggedValue(NamedTuple):
    """What the log says of each decision.

    Attributes:
        action_B: [B] int8, highest matured `Action`: impression, click or conversion.
        bid_type_B: [B] int8, `BidType`.
        ecpm_B: [B] float64, currency per 1,000 impressions.
        p_ctr_B: [B] float, logged click probability.
        p_cvr_B: [B] float, logged conversion probability of a click.
    """

    action_B: npt.NDArray[np.int8]
    bid_type_B: npt.NDArray[np.int8]
    ecpm_B: Floats
    p_ctr_B: npt.NDArray[np.floating[Any]]
    p_cvr_B: npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueWeightRule:
    """The chosen numbers of Eq 4.

    Attributes:
        action_weights: Factor of an impression, a click and a conversion.
        clip_low: Smallest weight before the last rescaling.
        clip_high: Largest weight before the last rescaling.
        min_p_ctr: Floor of the click probability in a denominator.
        min_p_cvr: Floor of the conversion probability in a denominator.
    """

    action_weights: tuple[float, ...] = (1.0, 2.0, 4.0)
    clip_low: float = 0.1
    clip_high: float = 10.0
    min_p_ctr: float = 1e-4
    min_p_cvr: float = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueWeightConstants:
    """The rule and what was fitted on the training decisions; evaluation uses them unchanged.

    Attributes:
        rule: The chosen numbers.
        reference_ecpm: Median eCPM of the training decisions.
        mean_unclipped: Mean of the weights before they are divided by it and clipped.
        scale: Factor that brings the clipped weights to mean 1.
    """

    rule: ValueWeightRule
    reference_ecpm: float
    mean_unclipped: float
    scale: float

    def save(self, path: Path) -> None:
        """Write the constants as JSON.

        Args:
            path: The file.
        """
        write_json(path, {"version": _FILE_VERSION, **asdict(self)})

    @classmethod
    def load(cls, path: Path) -> "ValueWeightConstants":
        """Read constants back.

        Args:
            path: The file.

        Returns:
            The constants that were saved.

        Raises:
            ArtifactError: If the file is not of this version.
        """
        values: dict[str, Any] = read_json(path)
        if values.pop("version", None) != _FILE_VERSION:
            raise ArtifactError(
                f"value weight constants are not of version {_FILE_VERSION}",
                where=str(path),
                fix="run corpus_curation again",
            )
        rule = values.pop("rule")
        rule["action_weights"] = tuple(rule["action_weights"])
        return cls(rule=ValueWeightRule(**rule), **values)


def raw_value(logged: LoggedValue, rule: ValueWeightRule) -> Floats:
    """Divide the eCPM by the probability of what happened (Eq 4 as printed).

    The denominator holds only probabilities that the eCPM itself contains: none for a CPM bid,
    the click probability for a CPC bid, both for an OCPA bid that converted.

    Args:
        logged: The decisions.
        rule: The floors.

    Returns:
        [B] float64, >= 0.

    Raises:
        ShapeError: If the columns differ in length.
    """
    for name, column in zip(logged._fields, logged, strict=True):
        check_shape(name, column, (logged.action_B.size,))
    p_ctr_B = np.maximum(logged.p_ctr_B.astype(np.float64), rule.min_p_ctr)
    p_cvr_B = np.maximum(logged.p_cvr_B.astype(np.float64), rule.min_p_cvr)
    has_click_B = (logged.action_B >= Action.CLICK) & (logged.bid_type_B != BidType.CPM)
    has_conversion_B = (logged.action_B >= Action.CONVERSION) & (logged.bid_type_B == BidType.OCPA)
    denominator_B = np.where(has_click_B, p_ctr_B, 1.0) * np.where(has_conversion_B, p_cvr_B, 1.0)
    return np.asarray(logged.ecpm_B / denominator_B)


def fit_value_weights(logged: LoggedValue, rule: ValueWeightRule) -> ValueWeightConstants:
    """Fit the constants on the training decisions.

    Args:
        logged: All training decisions.
        rule: The chosen numbers.

    Returns:
        Constants with which the mean training weight is 1.

    Raises:
        ContractError: If there is no decision, or the median eCPM is not positive.
        ShapeError: If the columns differ in length.
    """
    reference = float(np.median(logged.ecpm_B)) if logged.ecpm_B.size else 0.0
    if reference <= 0:
        raise ContractError(
            f"the median eCPM of {logged.ecpm_B.size} training decisions is {reference}, "
            "expected > 0",
            where="decisions.ecpm",
            fix="check that the log holds impressions with bids",
        )
    unclipped_B = _unclipped(logged, rule, reference)
    mean = float(unclipped_B.mean())
    clipped_B = np.clip(unclipped_B / mean, rule.clip_low, rule.clip_high)
    return ValueWeightConstants(
        rule=rule,
        reference_ecpm=reference,
        mean_unclipped=mean,
        scale=1.0 / float(clipped_B.mean()),
    )


def value_weights(logged: LoggedValue, constants: ValueWeightConstants) -> Floats:
    """Apply fitted constants.

    Args:
        logged: Any decisions.
        constants: Fitted on the training decisions.

    Returns:
        [B] float64, within [clip_low, clip_high] * scale.

    Raises:
        ShapeError: If the columns differ in length.
    """
    rule = constants.rule
    relative_B = _unclipped(logged, rule, constants.reference_ecpm) / constants.mean_unclipped
    return np.clip(relative_B, rule.clip_low, rule.clip_high) * constants.scale


def clipped_share(logged: LoggedValue, constants: ValueWeightConstants) -> float:
    """Tell how often the clip binds; a large share means that the weights say little.

    Args:
        logged: Any decisions.
        constants: Fitted constants.

    Returns:
        Share in [0, 1]; 0 for no decisions.

    Raises:
        ShapeError: If the columns differ in length.
    """
    rule = constants.rule
    relative_B = _unclipped(logged, rule, constants.reference_ecpm) / constants.mean_unclipped
    is_clipped_B = (relative_B < rule.clip_low) | (relative_B > rule.clip_high)
    return float(is_clipped_B.mean()) if is_clipped_B.size else 0.0


def _unclipped(logged: LoggedValue, rule: ValueWeightRule, reference_ecpm: float) -> Floats:
    """Weigh the logarithm of the raw value by the action."""
    factor_B = np.array(rule.action_weights)[logged.action_B]
    return np.asarray(factor_B * np.log1p(raw_value(logged, rule) / reference_ecpm))
