"""Parameters of corpus curation."""

from dataclasses import dataclass, field
from typing import Literal

from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class ThoughtsConfig:
    """Who says something about users, for a model that reads external knowledge.

    The credential of a language model is no parameter: it comes from the environment variable
    GPR_LANGUAGE_MODEL_KEY. Without it the template speaks, under its own name.
    """

    provider: Literal["none", "template", "language_model"] = "none"
    """`template` counts past events offline; `none` is right for a model with
    `mtp_pretrain.model.knowledge_vectors` 0."""

    url: str = ""
    """Address of a language model that speaks the common chat format, http or https."""

    model: str = ""
    """Name of the language model there, 1 to 64 characters; it stands in tables and reports."""

    def __post_init__(self) -> None:
        """Check that a language model can be found."""
        if self.provider != "language_model":
            return
        if not self.url.startswith(("http://", "https://")):
            raise ConfigError(
                f"url is {self.url!r}, expected the address of a language model",
                fix="use an address with http or https, or provider: template",
            )
        if not 1 <= len(self.model) <= 64:
            raise ConfigError(
                f"model is {self.model!r}, expected a name of 1 to 64 characters",
                fix="name the language model to ask",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationConfig:
    """What enters the corpus, and the numbers fitted on it."""

    window_days: int = 365
    """Days of logs that training sees, the training day included, 1..3650; specification 1.4.4."""

    attribution_days: int = 30
    """A click, conversion or hide later than this after its exposure is not counted, 1..365."""

    min_requests: int = 2
    """Users with fewer exposed requests keep their timeline but give no decision, 1..1000;
    specification 1.4.7."""

    cell_min_users: int = 3
    """A city is known only where this many users share (age, gender, city), 1..1000;
    specification 1.3: 20, scaled down to 3 for micro and tiny."""

    session_gap_min: int = 30
    """Minutes without an event that end a session, 1..1440; without consent, or with strict
    privacy, history is limited to the current session."""

    near_duplicate_cosine: float = 0.97
    """Items at least this similar are near duplicates, 0.5..1; specification 1.4.1."""

    balance_exponent: float = 0.5
    """Weight of a category of n items is n to the minus this, 0..1; specification 1.4.2."""

    balance_cap: float = 10.0
    """Largest ratio of two category weights, 1..1000; specification 1.4.2."""

    held_out_share: float = 0.2
    """Share of clusters held out from the tokenizer, 0.01..0.5; specification 1.4.3."""

    inner_validation_share: float = 0.1
    """Share of the other clusters used for early stopping, 0..0.5; specification 1.4.3."""

    num_price_buckets: int = 15
    """Buckets of the price of an impression, 2..15."""

    num_dwell_buckets: int = 15
    """Buckets of the time spent on organic content, 2..15."""

    value_action_weights: tuple[float, ...] = (1.0, 2.0, 4.0)
    """Factor of an impression, a click and a conversion in the VAFT weight, each > 0;
    specification 4.2."""

    value_clip: tuple[float, ...] = (0.1, 10.0)
    """Smallest and largest VAFT weight before the last rescaling, 0 < low < 1 < high;
    specification 4.2."""

    min_p_ctr: float = 1e-4
    """Floor of the logged click probability in VAFT denominators, 1e-9..1; specification 4.2."""

    min_p_cvr: float = 1e-3
    """Floor of the logged conversion probability likewise, 1e-9..1; specification 4.2."""

    thoughts: ThoughtsConfig = field(default_factory=ThoughtsConfig)
    """External knowledge about users; specification 3.5."""

    def __post_init__(self) -> None:
        """Check ranges and the two tuples."""
        for name, (low, high) in _RANGES.items():
            check_range(name, getattr(self, name), low, high)
        if len(self.value_action_weights) != 3 or min(self.value_action_weights) <= 0:
            raise ConfigError(
                f"value_action_weights is {self.value_action_weights}, "
                "expected three positive numbers",
                fix="write [1.0, 2.0, 4.0]: impression, click, conversion",
            )
        if len(self.value_clip) != 2 or not 0 < self.value_clip[0] < 1 < self.value_clip[1]:
            raise ConfigError(
                f"value_clip is {self.value_clip}, expected 0 < low < 1 < high",
                fix="write [0.1, 10.0]; the mean weight 1 must lie inside",
            )


_RANGES: dict[str, tuple[float, float]] = {
    "window_days": (1, 3650),
    "attribution_days": (1, 365),
    "min_requests": (1, 1000),
    "cell_min_users": (1, 1000),
    "session_gap_min": (1, 1440),
    "near_duplicate_cosine": (0.5, 1),
    "balance_exponent": (0, 1),
    "balance_cap": (1, 1000),
    "held_out_share": (0.01, 0.5),
    "inner_validation_share": (0, 0.5),
    "num_price_buckets": (2, 15),
    "num_dwell_buckets": (2, 15),
    "min_p_ctr": (1e-9, 1),
    "min_p_cvr": (1e-9, 1),
}
