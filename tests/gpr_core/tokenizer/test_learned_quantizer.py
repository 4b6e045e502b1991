"""The training that all learned kinds share: budget, curve, what is kept."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gpr_core.support.errors import ArtifactError
from gpr_core.tokenizer import protocol
from gpr_core.tokenizer.config import TokenizationConfig
from gpr_core.tokenizer.learned_quantizer import updates_per_epoch
from gpr_core.tokenizer.quality import code_usage, collision_rate, path_ids
from gpr_core.tokenizer.rq_kmeans_plus import RQKMeansPlus
from gpr_core.tokenizer.rq_vae import RQVAE, RQVAEKMeansInit
from tests.conformance.tokenizer import make_items

CONFIG = TokenizationConfig(
    num_levels=2, codebook_size=8, hidden_width=16, latent_width=4, epochs=7, batch_size=50
)
KINDS = [RQKMeansPlus, RQVAE, RQVAEKMeansInit]
TRAIN, VALIDATION = make_items(120), make_items(40, seed=1)


@pytest.mark.parametrize("make", KINDS)
def test_every_kind_makes_the_updates_of_its_budget(make):
    config = replace(CONFIG, patience=CONFIG.epochs)
    report = make(config).fit(TRAIN, VALIDATION, seed=0, threads=1)
    # 120 items are three batches of at most 50.
    assert [epoch.num_updates for epoch in report.curve] == [0, 3, 6, 9, 12, 15, 18, 21]
    assert [updates_per_epoch(config, size) for size in (50, 51, 120)] == [1, 2, 3]


@pytest.mark.parametrize("make", [RQVAE, RQVAEKMeansInit])
def test_a_baseline_is_never_stopped_early(make):
    report = make(replace(CONFIG, patience=1)).fit(TRAIN, VALIDATION, seed=0, threads=1)
    assert report.best_epoch == len(report.curve) - 1 == CONFIG.epochs


@pytest.mark.parametrize("make", KINDS)
def test_the_curve_tells_of_the_tokenizer_that_was_kept(make):
    tokenizer = make(CONFIG)
    report = tokenizer.fit(TRAIN, VALIDATION, seed=0, threads=1)
    best = report.curve[report.best_epoch]
    assert best.epoch == report.best_epoch
    validation, train = tokenizer.encode(VALIDATION.x_MD), tokenizer.encode(TRAIN.x_MD)
    paths = path_ids(np.concatenate([validation, train]))
    shared = [(paths == path).sum() > 1 for path in paths[:40]]
    assert best.validation_collision == pytest.approx(np.mean(shared))
    assert best.collision == pytest.approx(collision_rate(paths))
    assert best.usage == code_usage(train[:, 0], 8)


@pytest.mark.parametrize("make", KINDS)
def test_training_lowers_the_reconstruction_loss(make):
    config = replace(CONFIG, patience=100, epochs=30, learning_rate=0.003)
    curve = make(config).fit(TRAIN, VALIDATION, seed=0, threads=1).curve
    assert curve[-1].reconstruction_loss < 0.95 * curve[1].reconstruction_loss
    for epoch in curve[1:]:
        parts = epoch.reconstruction_loss + epoch.codebook_loss + 0.25 * epoch.commit_loss
        assert epoch.loss == pytest.approx(parts, rel=1e-5)


@pytest.mark.parametrize("make", KINDS)
def test_the_threads_of_torch_do_not_change_a_bit(make):
    items = make_items(2048, width=64)
    config = replace(CONFIG, epochs=2, batch_size=2048, hidden_width=64, latent_width=32)
    found = []
    for threads in (1, 2):
        former = torch.get_num_threads()
        torch.set_num_threads(threads)
        tokenizer = make(config)
        tokenizer.fit(items, items, seed=0, threads=1)
        assert torch.get_num_threads() == threads, "the setting of the caller comes back"
        torch.set_num_threads(former)
        found.append(
            [array.tobytes() for array in (*tokenizer.codebooks, *tokenizer.encoder.values())]
        )
    assert found[0] == found[1]


def test_gradients_are_clipped():
    # Adam divides a gradient by its size plus 1e-8: one that is clipped far below moves nothing.
    start, trained = (
        RQVAE(replace(CONFIG, epochs=epochs, gradient_clip=1e-12)) for epochs in (1, 5)
    )
    for tokenizer in (start, trained):
        tokenizer.fit(TRAIN, VALIDATION, seed=0, threads=1)
    for first, last in zip(start.codebooks, trained.codebooks, strict=True):
        assert np.allclose(first, last, atol=1e-5)


def test_weights_count():
    # The light items are far away: with tiny weights they do not matter for the loss.
    far = TRAIN.x_MD.copy()
    far[60:] += 50
    weight = np.r_[np.ones(60), np.full(60, 1e-7)].astype(np.float32)
    sample = protocol.ItemSample(far, weight)
    config = replace(CONFIG, epochs=1, batch_size=120, codebook_size=2, num_levels=1)
    light = RQVAE(config).fit(sample, VALIDATION, seed=0, threads=1).curve[1]
    heavy = (
        RQVAE(config)
        .fit(sample._replace(weight_M=np.ones(120, np.float32)), VALIDATION, seed=0, threads=1)
        .curve[1]
    )
    assert light.reconstruction_loss < 2
    assert heavy.reconstruction_loss > 1000


@pytest.mark.parametrize("make", KINDS)
def test_chunks_do_not_change_codes(make, monkeypatch):
    tokenizer = make(CONFIG)
    tokenizer.fit(TRAIN, VALIDATION, seed=0, threads=1)
    whole = tokenizer.encode(TRAIN.x_MD)
    rebuilt = tokenizer.decode(whole)
    monkeypatch.setattr(protocol, "_CHUNK_ROWS", 7)
    assert tokenizer.encode(TRAIN.x_MD).tolist() == whole.tolist()
    assert np.allclose(tokenizer.decode(whole), rebuilt, atol=1e-6)


def test_the_tensors_of_another_kind_are_refused():
    vae, plus = RQVAE(CONFIG), RQKMeansPlus(CONFIG)
    for tokenizer in (vae, plus):
        tokenizer.fit(TRAIN, VALIDATION, seed=0, threads=1)
    with pytest.raises(ArtifactError, match=r"not those of rq_kmeans_plus: .* unknown \['dec"):
        RQKMeansPlus(CONFIG).restore(vae.codebooks, vae.encoder)
    with pytest.raises(ArtifactError, match=r"not those of rq_vae: missing \['dec"):
        RQVAE(CONFIG).restore(plus.codebooks, plus.encoder)
