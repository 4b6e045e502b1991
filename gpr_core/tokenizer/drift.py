"""The life of a tokenizer over days: how well it still fits, and when it is due to be refitted.

Codebooks are kept from day to day, so that a semantic id means the same tomorrow. Items that were
born after the fit show whether they still suit: their reconstruction error is compared with that
of items which the fit held out, and their collision with that of the older items of the same
catalog (collision depends on the number of items, so both are counted in one catalog).

Letters: M items.

Source: specification 0 (daily continuity); measures and bounds are our own, decision 0016.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gpr_core.support.config import to_mapping
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.shapes import check_range, check_shape
from gpr_core.tokenizer.quality import Ints
from gpr_core.tokenizer.residual import Floats

LIFE_FILE = "life.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefitConfig:
    """When codebooks are fitted anew instead of kept."""

    every_days: int = 28
    """Age at which a tokenizer is refitted, days; 0: never by age. 0..3650; own."""
    min_new_items: int = 100
    """Items born since the fit below which drift is not judged. >= 1; own."""
    max_error_ratio: float = 1.25
    """Largest reconstruction error of new items, in that of held-out items. >= 1; own."""
    max_collision_gain: float = 0.1
    """Largest collision of new items above that of older items, absolute. [0, 1]; own."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range("every_days", self.every_days, 0, 3650)
        check_range("min_new_items", self.min_new_items, 1, 1 << 31)
        check_range("max_error_ratio", self.max_error_ratio, 1.0, 1000.0)
        check_range("max_collision_gain", self.max_collision_gain, 0.0, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenizerLife:
    """What is known of a tokenizer on one day.

    Attributes:
        fitted_day: Training day of the fit, ISO.
        held_out_error: Mean squared reconstruction error of the items that the fit held out.
        num_new: Items born after the day of the fit.
        new_error: Their mean squared reconstruction error; None without any.
        new_collision: Share of them whose path another item of the catalog has; None without any.
        old_collision: The same share of all other items; None without any.
    """

    fitted_day: str
    held_out_error: float
    num_new: int = 0
    new_error: float | None = None
    new_collision: float | None = None
    old_collision: float | None = None

    def save(self, folder: Path) -> None:
        """Write it beside the codebooks.

        Args:
            folder: Folder of the tokenizer.
        """
        write_json(folder / LIFE_FILE, to_mapping(self))

    @classmethod
    def load(cls, folder: Path) -> "TokenizerLife":
        """Read it back.

        Args:
            folder: Folder of the tokenizer.

        Returns:
            What `save` wrote.

        Raises:
            ArtifactError: If the tokenizer was made before its life was recorded.
        """
        if not (folder / LIFE_FILE).exists():
            raise ArtifactError(
                f"{LIFE_FILE} is missing",
                where=str(folder),
                fix="refit the tokenizer: `gpr run --set run.refit=true`",
            )
        return cls(**read_json(folder / LIFE_FILE))

    def reasons_to_refit(self, config: RefitConfig, day: date) -> list[str]:
        """Say why the tokenizer should not be kept any longer.

        Args:
            config: Bounds.
            day: Training day that is about to begin.

        Returns:
            One sentence per bound that is passed; empty if the codebooks are kept.
        """
        reasons = []
        age = (day - date.fromisoformat(self.fitted_day)).days
        if config.every_days and age >= config.every_days:
            reasons.append(f"the tokenizer is {age} days old, refit every {config.every_days}")
        if self.num_new < config.min_new_items:
            return reasons
        if self.new_error is not None and self.held_out_error > 0:
            ratio = self.new_error / self.held_out_error
            if ratio > config.max_error_ratio:
                reasons.append(
                    f"new items have {ratio:.2f} times the reconstruction error of held-out items, "
                    f"at most {config.max_error_ratio:g} times may be kept"
                )
        if self.new_collision is not None and self.old_collision is not None:
            gain = self.new_collision - self.old_collision
            if gain > config.max_collision_gain:
                reasons.append(
                    f"collision of new items is {gain:+.1%} from that of older items, at most "
                    f"{config.max_collision_gain:+.1%} may be kept"
                )
        return reasons


def measure_life(
    fit: TokenizerLife, path_M: Ints, error_M: Floats, is_new_M: npt.NDArray[np.bool_]
) -> TokenizerLife:
    """Compare the items born since the fit with the others.

    Args:
        fit: What was known on the day of the fit, or later.
        path_M: [M] int64 from `path_ids`, all items of today's catalog.
        error_M: [M] float32 squared reconstruction error of each item.
        is_new_M: [M] bool, born after the day of the fit.

    Returns:
        The life as of today; day of the fit and error of held-out items stay.

    Raises:
        ShapeError: If the arrays differ in length.
    """
    check_shape("error_M", error_M, (path_M.size,))
    check_shape("is_new_M", is_new_M, (path_M.size,))
    is_shared_M = np.bincount(path_M)[path_M] > 1 if path_M.size else np.zeros(0, dtype=bool)
    return TokenizerLife(
        fitted_day=fit.fitted_day,
        held_out_error=fit.held_out_error,
        num_new=int(is_new_M.sum()),
        new_error=_mean(error_M[is_new_M]),
        new_collision=_mean(is_shared_M[is_new_M]),
        old_collision=_mean(is_shared_M[~is_new_M]),
    )


def _mean(values_M: npt.NDArray[np.generic]) -> float | None:
    """Average, or None of nothing."""
    return float(values_M.astype(np.float64).mean()) if values_M.size else None
