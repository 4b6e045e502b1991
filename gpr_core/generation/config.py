"""Parameters of generation."""

from dataclasses import dataclass
from typing import Literal

from gpr_core.support.errors import ConfigError
from gpr_core.support.shapes import check_range


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamConfig:
    """How candidates are generated for one request.

    Per-level tuples whose length is below the number of levels repeat their last value.
    """

    num_candidates: int = 40
    """Ads returned per request at most. >= 1; 40 in the paper."""
    width_factors: tuple[float, ...] = (2.0, 4.0, 4.0)
    """Beams kept per level, as multiples of `num_candidates`: per head in mode beam, over all heads
    in mode gumbel. > 0."""
    value_bonus: tuple[float, ...] = (0.0, 0.3, 0.5)
    """Weight of the standardized value of a child in the score that decides which prefixes
    survive, per level. >= 0; zeros give the plain trie beam. At the last level, where order is
    auction, any weight > 0 lets leaves survive by the values of their ads alone."""
    share_by_value: bool = True
    """Share the width of a level among the prefixes by their value; False: no cap per prefix."""
    width_temperature: float = 1.0
    """Temperature of the shares; large values share equally. > 0."""
    over_generation: float = 2.0
    """Children generated per kept beam before the cut of a level. >= 1."""
    leaf_ads: int = 2
    """Ads emitted per path at most, the best by predicted final value. >= 1."""
    exhaustive_factor: int = 4
    """Requests with at most this multiple of `num_candidates` eligible ads are scored exactly,
    path by path. >= 0."""
    mode: Literal["beam", "gumbel"] = "beam"
    """beam: deterministic; gumbel: sampling without replacement from the policy, which takes no
    value bonus and no value shares."""
    order: Literal["auction", "retrieval"] = "auction"
    """What candidates are chosen and sorted by: predicted final value, or path log-probability."""
    advertiser_cap: int = 0
    """Ads of one advertiser per request at most; 0: no cap."""

    def __post_init__(self) -> None:
        """Check ranges and combinations."""
        check_range("num_candidates", self.num_candidates, 1, 10_000)
        check_range("width_temperature", self.width_temperature, 1e-6, 1e12)
        check_range("over_generation", self.over_generation, 1.0, 100.0)
        check_range("leaf_ads", self.leaf_ads, 1, 10_000)
        check_range("exhaustive_factor", self.exhaustive_factor, 0, 10_000)
        check_range("advertiser_cap", self.advertiser_cap, 0, 10_000)
        if not self.width_factors or min(self.width_factors) <= 0:
            raise ConfigError(
                f"width_factors is {self.width_factors}, expected positive factors",
                fix="for example (2.0, 4.0, 4.0)",
            )
        if not self.value_bonus or min(self.value_bonus) < 0:
            raise ConfigError(
                f"value_bonus is {self.value_bonus}, expected factors >= 0",
                fix="for example (0.0, 0.3, 0.5)",
            )
        if self.mode == "gumbel" and (max(self.value_bonus) > 0 or self.share_by_value):
            raise ConfigError(
                "mode gumbel samples from the policy, but value_bonus or share_by_value is set",
                fix="set value_bonus to (0.0,) and share_by_value to false, or mode to beam",
            )

    def width(self, level: int) -> int:
        """Give the number of beams kept at a level.

        Args:
            level: 0-based level.

        Returns:
            Beams per request and head (mode beam) or per request (mode gumbel), >= 1.
        """
        factor = self.width_factors[min(level, len(self.width_factors) - 1)]
        return max(round(factor * self.num_candidates), 1)

    def bonus(self, level: int) -> float:
        """Give the weight of the value at a level.

        Args:
            level: 0-based level.

        Returns:
            Weight, >= 0.
        """
        return self.value_bonus[min(level, len(self.value_bonus) - 1)]
