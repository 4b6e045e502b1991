"""Every method from training sequences to a ranker."""

import numpy as np
import pytest

from gpr_core.sequential import methods
from gpr_core.sequential.encoders import EncoderConfig
from gpr_core.sequential.ranking import target_ranks
from gpr_core.sequential.training import TrainingConfig
from gpr_core.support.progress import Progress
from tests.gpr_core.sequential.test_training import cycles

DATA = cycles()


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(methods, "_ENCODER", EncoderConfig(width=8, dropout=0.1, max_items=6))
    monkeypatch.setattr(
        methods, "_TRAINING", TrainingConfig(epochs=2, batch_users=64, learning_rate=1e-2)
    )


def ranks_of(name, seed):
    fitted = methods.TRAINED[name](DATA, seed, Progress("test"))
    assert fitted.num_parameters > 0
    assert fitted.fit.best_epoch == 2
    return target_ranks(fitted.ranker, DATA.test)


@pytest.mark.parametrize("name", methods.TRAINED)
def test_a_method_learns_the_same_from_the_same_seed_and_else_from_another(name):
    one = ranks_of(name, 0)
    assert np.array_equal(one, ranks_of(name, 0))
    assert not np.array_equal(one, ranks_of(name, 1))


@pytest.mark.parametrize("name", methods.FLOORS)
def test_a_floor_learns_from_training_sequences_without_a_seed(name):
    one, other = (methods.FLOORS[name](DATA, seed, Progress("test")) for seed in (0, 1))
    assert (one.num_parameters, one.fit) == (0, None)
    assert np.array_equal(
        target_ranks(one.ranker, DATA.test), target_ranks(other.ranker, DATA.test)
    )
