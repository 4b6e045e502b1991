"""All methods on one small data set; the result depends on the seed and on nothing else."""

import numpy as np
import pytest

from gpr_core.evaluation.intervals import UserBootstrap
from gpr_core.sequential import methods
from gpr_core.sequential.encoders import EncoderConfig
from gpr_core.sequential.item_attributes import no_attributes
from gpr_core.sequential.study import run_method, run_study, summarize
from gpr_core.sequential.training import TrainingConfig
from tests.gpr_core.sequential.test_training import cycles

DATA = cycles()
PROBLEM = methods.Problem(DATA, no_attributes(DATA))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(methods, "_ENCODER", EncoderConfig(width=8, dropout=0.1, max_items=6))
    monkeypatch.setattr(
        methods, "_TRAINING", TrainingConfig(epochs=2, batch_users=64, learning_rate=1e-2)
    )


def test_a_row_averages_over_seeds():
    outcomes = [run_method(PROBLEM, "HSTU", seed)[0] for seed in (0, 1)]
    row = summarize(outcomes, UserBootstrap(np.arange(len(DATA.test.target_B)), seed=0))
    for metric, interval in row.metrics.items():
        assert interval.value == pytest.approx(np.mean(row.by_seed[metric]))
        assert interval.ci_low <= interval.value <= interval.ci_high
    assert row.is_trained


def test_floors_come_first_and_are_run_once():
    (rows,) = run_study(PROBLEM, [0, 1], [], processes=1)
    assert [row.name for row in rows] == list(methods.FLOORS)
    transitions = rows[2]
    assert len(transitions.outcomes) == 1
    # Who walks up one by one is predicted by whoever walked there before.
    assert transitions.metrics["recall@5"].value == 1.0


def test_rows_that_are_finished_are_given_before_the_others():
    """A process that trains does not see the small sizes of this file; one pass is soon over."""
    found = list(run_study(PROBLEM, [0], ["HSTU", "SASRec, softmax"], processes=1))
    floors = list(methods.FLOORS)
    assert [[row.name for row in rows] for rows in found] == [
        floors,
        [*floors, "SASRec, softmax"],
        [*floors, "HSTU", "SASRec, softmax"],
    ]
    assert found[1][-1].by_seed == found[2][-1].by_seed
