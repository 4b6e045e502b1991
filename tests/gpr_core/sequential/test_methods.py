"""Every method from training sequences to a ranker."""

import numpy as np
import pytest

from gpr_core.sequential import methods
from gpr_core.sequential.encoders import EncoderConfig
from gpr_core.sequential.item_attributes import no_attributes
from gpr_core.sequential.ranking import target_ranks
from gpr_core.sequential.training import TrainingConfig
from gpr_core.support.progress import Progress
from tests.gpr_core.sequential.test_training import cycles

DATA = cycles()
PROBLEM = methods.Problem(DATA, no_attributes(DATA))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(methods, "_ENCODER", EncoderConfig(width=8, dropout=0.1, max_items=6))
    fast = TrainingConfig(epochs=2, batch_users=64, learning_rate=1e-2)
    monkeypatch.setattr(methods, "_TRAINING", fast)
    monkeypatch.setattr(methods, "_GPR_TRAINING", fast)
    monkeypatch.setattr(methods, "_ENCODER_DECODER_TRAINING", fast)


def scores_of(name, seed):
    fitted = methods.TRAINED[name](PROBLEM, seed, Progress("test"))
    assert fitted.num_parameters > 0
    assert fitted.fit.best_epoch == 2
    history = DATA.test.history.select(np.arange(5))
    return {row: ranker.score(history) for row, ranker in fitted.rankers.items()}


@pytest.mark.parametrize("name", methods.TRAINED)
def test_a_method_learns_the_same_from_the_same_seed_and_else_from_another(name):
    one, again, other = scores_of(name, 0), scores_of(name, 0), scores_of(name, 1)
    assert name in one
    for row, scores in one.items():
        assert np.array_equal(scores, again[row])
    assert not np.array_equal(one[name], other[name])


def test_gpr_is_ranked_alone_and_with_a_memory():
    assert list(scores_of("GPR", 0)) == ["GPR", "GPR + transitions"]


@pytest.mark.parametrize("name", methods.FLOORS)
def test_a_floor_learns_from_training_sequences_without_a_seed(name):
    one, other = (methods.FLOORS[name](PROBLEM, seed, Progress("test")) for seed in (0, 1))
    assert (list(one.rankers), one.num_parameters, one.fit) == ([name], 0, None)
    ranks = [target_ranks(fitted.rankers[name], DATA.test) for fitted in (one, other)]
    assert np.array_equal(*ranks)
