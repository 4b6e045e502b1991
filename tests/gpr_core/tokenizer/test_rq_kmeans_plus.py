"""RQ-KMeans+ starts as RQ-KMeans and never ends up worse on the validation items."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.quality import collision_rate, path_ids
from gpr_core.tokenizer.rq_kmeans import RQKMeans
from gpr_core.tokenizer.rq_kmeans_plus import RQKMeansPlus, _Network
from tests.conformance.tokenizer import make_items

CONFIG = TokenizationConfig(
    num_levels=2, codebook_size=8, hidden_width=32, epochs=25, batch_size=64, patience=8
)


def fit(config, *, seed=0):
    train, validation = make_items(240, num_groups=30), make_items(80, seed=1, num_groups=30)
    tokenizer = RQKMeansPlus(config)
    return tokenizer, tokenizer.fit(train, validation, seed=seed, threads=1)


def test_before_training_every_code_is_the_one_of_rq_kmeans():
    plus, report = fit(replace(CONFIG, epochs=0))
    plain = RQKMeans(CONFIG)
    plain.fit(make_items(240, num_groups=30), make_items(80), seed=0, threads=1)
    x = make_items(1000, seed=9).x_MD
    assert plus.encode(x).tolist() == plain.encode(x).tolist()
    assert plus.decode(plus.encode(x)).tolist() == plain.decode(plain.encode(x)).tolist()
    assert report.best_epoch == 0


def test_training_lowers_the_collision_here():
    tokenizer, report = fit(CONFIG)
    start, best = report.curve[0], report.curve[report.best_epoch]
    assert report.best_epoch > 0
    assert best.validation_collision < start.validation_collision
    assert best.collision <= start.collision
    x = np.concatenate(
        [make_items(240, num_groups=30).x_MD, make_items(80, seed=1, num_groups=30).x_MD]
    )
    assert collision_rate(path_ids(tokenizer.encode(x))) == pytest.approx(best.collision)


def test_training_that_only_hurts_is_thrown_away():
    tokenizer, report = fit(replace(CONFIG, learning_rate=1.0, gradient_clip=1e6, patience=2))
    assert report.best_epoch == 0
    assert [epoch.epoch for epoch in report.curve] == [0, 1, 2]
    untrained, _ = fit(replace(CONFIG, epochs=0))
    x = make_items(100, seed=9).x_MD
    assert tokenizer.encode(x).tolist() == untrained.encode(x).tolist()


def test_without_validation_items_the_start_is_kept():
    tokenizer = RQKMeansPlus(replace(CONFIG, epochs=3))
    train = make_items(60)
    report = tokenizer.fit(train, make_items(0), seed=0, threads=1)
    assert report.best_epoch == 0


def make_network(hidden_width=4):
    """One level, two codes, an encoder that is still the identity."""
    codebooks = (np.array([[1, 0], [0, 1]], np.float32),)
    return _Network(codebooks, hidden_width, torch.Generator().manual_seed(0))


def test_the_losses_are_weighted_means_of_squared_norms():
    x = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    losses = make_network().losses(x, torch.tensor([3.0, 1.0]), 0.25)
    # Squared distances to the centers are 1 and 4: (3 * 1 + 1 * 4) / 4 = 1.75 in all three.
    found = [value.item() for value in losses]
    assert found == [pytest.approx(1.75 * 2.25), *[pytest.approx(1.75)] * 3]


def test_the_gradients_go_where_they_should():
    network = make_network()
    x = torch.tensor([[2.0, 0.0]])
    losses = network.losses(x, torch.ones(1), 0.25)
    losses.codebook.backward(retain_graph=True)
    assert network.codebooks[0].grad.tolist() == [[-2, 0], [0, 0]]
    assert network.encoder.out_bias_D.grad is None
    network.zero_grad()
    losses.commit.backward(retain_graph=True)
    assert network.codebooks[0].grad is None
    assert network.encoder.out_bias_D.grad.tolist() == [2, 0]
    network.zero_grad()
    losses.reconstruction.backward()
    # Straight-through: d |x - z_hat|^2 / d z = -2 (x - z_hat), and none for the centers.
    assert network.codebooks[0].grad is None
    assert network.encoder.out_bias_D.grad.tolist() == [-2, 0]


def test_the_straight_through_gradient_is_the_finite_difference_of_the_decoder():
    network = make_network(hidden_width=16)
    with torch.no_grad():
        network.decoder.out_weight_DH.normal_(generator=torch.Generator().manual_seed(1))
    x, weight = torch.tensor([[1.4, 0.3]]), torch.ones(1)
    network.losses(x, weight, 0.25).reconstruction.backward()
    found = network.encoder.out_bias_D.grad.double()
    center = torch.tensor([[1.0, 0.0]])

    def loss_at(step):
        return (x - network.decoder(center + step)).square().sum().item()

    steps = torch.eye(2) * 1e-2
    expected = [(loss_at(step) - loss_at(-step)) / 2e-2 for step in steps]
    assert found.tolist() == pytest.approx(expected, rel=1e-2)
    assert abs(found.numpy() - [-0.8, -0.6]).max() > 0.1, "the decoder is no identity here"
