"""Tests of the scaling ladder."""

import numpy as np
import pytest

from benchmarks.scaling import LADDER, fit_law, size_config, summarize
from benchmarks.table2_rows import count_parameters
from gpr_core.params import preset

DENSE = np.array([12e3, 29e3, 62e3, 137e3, 373e3, 1.7e6])


def results(losses_by_size):
    """Results of two seeds, the second of which has other data."""
    return {
        size: [
            {"dense": int(dense), "loss": loss + shift, "requests": 5, "train_seconds": 1.0}
            for shift in (0.0, 0.4)
        ]
        for size, dense, loss in zip(LADDER, DENSE, losses_by_size, strict=True)
    }


def test_the_fit_finds_the_law_that_made_the_losses():
    assert fit_law(DENSE, 3.0 + 20.0 * DENSE**-0.3) == pytest.approx([3.0, 20.0, 0.3], rel=1e-3)


def test_a_loss_that_falls_with_size_is_said_to():
    found = summarize(results(3.0 + 20.0 * DENSE**-0.3))
    assert found["falls_with_size"]
    assert found["spearman"] == -1.0
    law = found["law"]["c"]
    assert law["low"] <= 0.3 + 1e-3
    assert law["high"] >= 0.3 - 1e-3
    # The seeds differ in level; the law is that of their mean.
    assert found["law"]["a"]["value"] == pytest.approx(3.2, abs=0.01)


def test_a_loss_that_does_not_fall_is_not_said_to():
    assert not summarize(results([3.0, 3.2, 3.1, 3.3, 3.05, 3.15]))["falls_with_size"]


def test_the_ladder_spans_a_hundred_times_with_the_same_tables():
    default = preset("tiny").mtp_pretrain
    counts = [
        count_parameters(size_config(default, size, 1).model, (32, 32, 32)) for size in LADDER
    ]
    dense = [count.dense for count in counts]
    assert dense == sorted(dense)
    assert dense[-1] >= 100 * dense[0]
    # Only the four rows of token kinds have the width of the model.
    assert counts[-1].tables - counts[0].tables == 4 * (LADDER[-1].width - LADDER[0].width)
