"""When codebooks are kept and when they are due to be refitted."""

from datetime import date

import numpy as np
import pytest

from gpr_core.support.errors import ArtifactError, ConfigError, ShapeError
from gpr_core.tokenizer.drift import RefitConfig, TokenizerLife, measure_life

DAY = date(2026, 3, 11)
FIT = TokenizerLife(fitted_day="2026-03-01", held_out_error=0.5)
CONFIG = RefitConfig(every_days=20, min_new_items=2, max_error_ratio=1.5, max_collision_gain=0.25)


def life(**values):
    """A life of items that behave as those of the fit, changed in some values."""
    same = {"num_new": 4, "new_error": 0.5, "new_collision": 0.5, "old_collision": 0.5}
    return TokenizerLife(fitted_day="2026-03-01", held_out_error=0.5, **(same | values))


def test_new_items_are_compared_with_the_older_ones_of_the_same_catalog():
    # Paths: two old items share 0, one new item shares 1 with an old one, one new item is alone.
    path = np.array([0, 0, 1, 1, 2])
    is_new = np.array([False, False, False, True, True])
    error = np.array([9, 9, 9, 0.25, 0.75], np.float32)
    found = measure_life(FIT, path, error, is_new)
    assert (found.num_new, found.new_error) == (2, 0.5)
    assert (found.new_collision, found.old_collision) == (0.5, 1.0)
    assert (found.fitted_day, found.held_out_error) == (FIT.fitted_day, FIT.held_out_error)


def test_without_new_items_nothing_is_said_of_them():
    found = measure_life(FIT, np.array([0, 1]), np.zeros(2, np.float32), np.zeros(2, bool))
    assert (found.num_new, found.new_error, found.new_collision) == (0, None, None)
    assert found.old_collision == 0.0
    assert found.reasons_to_refit(CONFIG, DAY) == []


def test_arrays_of_other_items_are_refused():
    with pytest.raises(ShapeError, match="error_M has shape"):
        measure_life(FIT, np.array([0, 1]), np.zeros(3, np.float32), np.zeros(2, bool))


def test_a_tokenizer_that_still_fits_is_kept():
    assert life().reasons_to_refit(CONFIG, DAY) == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"new_error": 0.8}, "1.60 times the reconstruction error"),
        ({"new_collision": 0.8}, "collision of new items is +30.0%"),
    ],
)
def test_each_kind_of_drift_is_a_reason(values, reason):
    [found] = life(**values).reasons_to_refit(CONFIG, DAY)
    assert reason in found


def test_too_few_new_items_judge_nothing():
    assert life(num_new=1, new_error=9.0, new_collision=1.0).reasons_to_refit(CONFIG, DAY) == []


def test_age_alone_is_a_reason_unless_switched_off():
    later = date(2026, 3, 21)
    [found] = FIT.reasons_to_refit(CONFIG, later)
    assert found == "the tokenizer is 20 days old, refit every 20"
    assert FIT.reasons_to_refit(CONFIG, date(2026, 3, 20)) == []
    assert FIT.reasons_to_refit(RefitConfig(every_days=0), later) == []


def test_storage_keeps_everything(tmp_path):
    life().save(tmp_path)
    assert TokenizerLife.load(tmp_path) == life()


def test_a_tokenizer_without_a_life_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match=r"life\.json is missing"):
        TokenizerLife.load(tmp_path)


def test_bounds_are_checked():
    with pytest.raises(ConfigError, match="max_error_ratio"):
        RefitConfig(max_error_ratio=0.5)
