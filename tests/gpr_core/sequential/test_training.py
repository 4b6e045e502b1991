"""Training learns a rule, repeats itself bit by bit, and keeps its best pass."""

import numpy as np
import pytest
import torch

from gpr_core.sequential.encoders import EncoderConfig, ItemEncoder, SasrecBlock
from gpr_core.sequential.ranking import ranking_metrics, target_ranks
from gpr_core.sequential.recommender import Recommender
from gpr_core.sequential.sequences import Histories, SequenceData
from gpr_core.sequential.training import TrainingConfig, train
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import numpy_stream, seed_global_torch

NUM_ITEMS, LENGTH = 30, 8


def cycles(num_users=200):
    """Users who walk up the items one by one from anywhere."""
    starts = numpy_stream(0, "test").integers(0, NUM_ITEMS, num_users)
    items = (starts[:, None] + np.arange(LENGTH)) % NUM_ITEMS
    return SequenceData(
        "cycles",
        np.arange(NUM_ITEMS) + 1,
        Histories(items.ravel(), np.arange(num_users + 1) * LENGTH),
    )


def fit(config, *, seed=0):
    seed_global_torch(seed, "test")
    encoder = ItemEncoder(NUM_ITEMS, EncoderConfig(width=16, max_items=6, dropout=0.1), SasrecBlock)
    model = Recommender(encoder, "softmax")
    report = train(model, cycles(), config, max_items=6, seed=seed, progress=Progress("test"))
    return model.eval(), report


FAST = TrainingConfig(epochs=12, learning_rate=1e-2, batch_users=32)


def test_it_learns_what_comes_next():
    model, report = fit(FAST)
    metrics = ranking_metrics(target_ranks(model, cycles().test))
    assert metrics["recall@5"].mean() > 0.9
    losses = [loss for _, loss, _ in report.curve]
    assert losses[-1] < losses[0] / 2
    assert report.best_epoch == max(report.curve, key=lambda look: (look[2], -look[0]))[0]


def test_equal_seeds_give_equal_weights_and_others_do_not():
    one, again, other = fit(FAST), fit(FAST), fit(FAST, seed=1)
    for name, value in one[0].state_dict().items():
        assert torch.equal(value, again[0].state_dict()[name])
    assert one[1] == again[1]
    assert not torch.equal(one[0].encoder.item_AD, other[0].encoder.item_AD)


def test_training_ends_when_validation_no_longer_rises():
    _, report = fit(TrainingConfig(epochs=50, learning_rate=1e-8, patience=4, batch_users=32))
    # Nothing is learned, so the first look stays the best.
    assert (report.best_epoch, report.curve[-1][0]) == (2, 6)


def test_the_last_pass_is_always_looked_at():
    _, report = fit(TrainingConfig(epochs=3, measure_every=2))
    assert [epoch for epoch, _, _ in report.curve] == [2, 3]


def test_the_weights_of_the_best_pass_are_kept():
    model, report = fit(TrainingConfig(epochs=8, measure_every=1, learning_rate=0.5))
    reached = ranking_metrics(target_ranks(model, cycles().validation))["ndcg@10"].mean()
    assert reached == pytest.approx(max(value for _, _, value in report.curve))
