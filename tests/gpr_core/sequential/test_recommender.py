"""What is predicted from what, and how it is scored."""

import numpy as np
import pytest
import torch

from gpr_core.sequential.encoders import EncoderConfig, ItemEncoder, SasrecBlock
from gpr_core.sequential.recommender import Recommender
from gpr_core.sequential.sequences import Histories
from gpr_core.support.seeding import seed_global_torch, torch_stream

CONFIG = EncoderConfig(width=8, max_items=4, dropout=0.0)


def make(objective, num_items=6):
    seed_global_torch(0, "test")
    return Recommender(ItemEncoder(num_items, CONFIG, SasrecBlock), objective).eval()


def stream():
    return torch_stream(0, "test")


def test_every_item_is_predicted_from_those_before_it():
    model = make("softmax")
    items = torch.tensor([[0, 1, 2], [3, 4, -1]])
    states = model.encoder(items[:, :-1])
    scores = states @ model.encoder.item_AD.T
    rows = [(0, 0, 1), (0, 1, 2), (1, 0, 4)]
    expected = -np.mean([scores[row, at].log_softmax(0)[item].item() for row, at, item in rows])
    assert model.loss(items, stream()).item() == pytest.approx(expected, rel=1e-5)


def test_the_sampled_loss_is_between_nothing_and_that_of_all_negatives():
    items = torch.tensor([[0, 1, 2, 3]])
    sampled = make("sampled_softmax")
    # A thousand draws of six items hold each of them about 170 times.
    extra = np.log(1024 / 6)
    full = make("softmax").loss(items, stream()).item()
    assert sampled.loss(items, stream()).item() == pytest.approx(full + extra, abs=0.4)


def test_a_negative_equal_to_the_target_does_not_count():
    model = make("sampled_softmax", num_items=1)
    assert model.loss(torch.tensor([[0, 0]]), stream()).item() == 0.0


def test_scores_come_from_the_state_after_the_last_item():
    model = make("softmax")
    history = Histories(np.array([0, 1, 2, 3, 4, 5]), np.array([0, 5, 6]))
    score = model.score(history)
    # Only the latest four items are read.
    states = model.encoder(torch.tensor([[1, 2, 3, 4]]))
    assert score[0] == pytest.approx((states[0, -1] @ model.encoder.item_AD.T).detach().numpy())
    states = model.encoder(torch.tensor([[5]]))
    assert score[1] == pytest.approx(
        (states[0, 0] @ model.encoder.item_AD.T).detach().numpy(), abs=1e-5
    )
