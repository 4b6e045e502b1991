"""RQ-KMeans+ starts as RQ-KMeans and never ends up worse on the validation items."""

from dataclasses import replace

import pytest

from gpr_core.tokenizer.bundle import make_tokenizer
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.protocol import Epoch
from gpr_core.tokenizer.rq_kmeans_plus import RQKMeansPlus
from tests.conformance.tokenizer import make_items

CONFIG = TokenizationConfig(
    num_levels=2,
    codebook_size=8,
    hidden_width=32,
    epochs=25,
    batch_size=64,
    patience=8,
    projection_dim=5,
)


def fit(config, *, seed=0):
    train, validation = make_items(240, num_groups=30), make_items(80, seed=1, num_groups=30)
    tokenizer = make_tokenizer(config)
    return tokenizer, tokenizer.fit(train, validation, seed=seed, threads=1)


@pytest.mark.parametrize("projection", ["none", "pca", "orthogonal"])
def test_before_training_every_code_is_the_one_of_rq_kmeans(projection):
    config = replace(CONFIG, epochs=0, projection=projection)
    plus, report = fit(config)
    plain, _ = fit(replace(config, kind="rq_kmeans"))
    assert report.best_epoch == 0
    for items in (make_items(240, num_groups=30), make_items(1000, seed=9)):
        codes = plain.encode(items.x_MD)
        assert plus.encode(items.x_MD).tolist() == codes.tolist()
        assert plus.decode(codes).tolist() == plain.decode(codes).tolist()


def test_training_lowers_the_collision_here():
    _, report = fit(CONFIG, seed=5)
    start, best = report.curve[0], report.curve[report.best_epoch]
    assert report.best_epoch > 0
    assert best.validation_collision < start.validation_collision
    assert best.validation_collision == min(epoch.validation_collision for epoch in report.curve)
    assert best.collision <= start.collision


def test_training_stops_when_nothing_gets_better():
    _, report = fit(replace(CONFIG, patience=2))
    assert len(report.curve) - 1 == report.best_epoch + 2 < CONFIG.epochs


def test_training_that_only_hurts_is_thrown_away():
    tokenizer, report = fit(replace(CONFIG, learning_rate=1.0, gradient_clip=1e6, patience=2))
    assert report.best_epoch == 0
    assert [epoch.epoch for epoch in report.curve] == [0, 1, 2]
    untrained, _ = fit(replace(CONFIG, epochs=0))
    x = make_items(100, seed=9).x_MD
    assert tokenizer.encode(x).tolist() == untrained.encode(x).tolist()


@pytest.mark.parametrize(
    ("validation_collision", "collision", "usage", "is_kept"),
    [
        (0.19, 0.3, 1.0, True),
        (0.19, 0.3, 0.9, True),
        (0.2, 0.2, 1.0, False),
        (0.1, 0.31, 1.0, False),
        (0.1, 0.3, 0.89, False),
    ],
)
def test_an_epoch_is_kept_for_a_lower_collision_at_no_other_cost(
    validation_collision, collision, usage, is_kept
):
    losses = (1.0, 1.0, 1.0, 1.0)
    start = Epoch(0, 0, *losses, 0.25, 0.3, 1.0)
    best = Epoch(1, 4, *losses, 0.2, 0.28, 1.0)
    epoch = Epoch(2, 8, *losses, validation_collision, collision, usage)
    assert RQKMeansPlus(CONFIG)._is_kept(epoch, best, start) == is_kept


def test_without_validation_items_the_start_is_kept():
    tokenizer = RQKMeansPlus(replace(CONFIG, epochs=3))
    report = tokenizer.fit(make_items(60), make_items(0), seed=0, threads=1)
    assert report.best_epoch == 0
