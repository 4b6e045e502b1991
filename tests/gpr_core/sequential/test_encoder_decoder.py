"""Tests of the encoder-decoders on item sequences."""

import numpy as np
import pytest
import torch

from gpr_core.models.config import ModelConfig
from gpr_core.models.variants import one_rec, tiger
from gpr_core.sequential import encoder_decoder
from gpr_core.sequential.encoder_decoder import EncoderDecoder, with_suffix
from gpr_core.sequential.sequences import Histories
from gpr_core.support.seeding import seed_global_torch, torch_stream

SMALL = ModelConfig(
    width=16, attention_heads=2, hsd_layers=1, ptd_layers=1, max_distance=8, dropout=0.0
)
PATHS = with_suffix(np.array([[0, 0], [0, 1], [1, 0], [1, 0], [1, 1], [2, 1]]))


def make(variant=tiger):
    """Make a model of six items in evaluation mode."""
    seed_global_torch(0, "encoder-decoder")
    return EncoderDecoder(PATHS, variant(SMALL), max_items=5).eval()


def histories(*rows):
    """Put sequences one after the other."""
    flat = np.concatenate([np.array(row) for row in rows])
    return Histories(flat, np.concatenate([[0], np.cumsum([len(row) for row in rows])]))


def all_path_logp(model, history):
    """Score all items without a beam: [B, A]."""
    state = model.read(torch.from_numpy(history.latest(model.max_items)))
    score_AB = [
        model._path_logp(state, torch.from_numpy(path_L).expand(len(history), -1))
        for path_L in PATHS
    ]
    return torch.stack(score_AB, dim=1).detach().numpy()


def test_items_of_one_path_are_told_apart_by_a_suffix():
    assert PATHS[:, 2].tolist() == [0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("variant", [tiger, one_rec])
def test_the_scores_of_a_wide_beam_are_those_of_all_paths(variant):
    model = make(variant)
    history = histories([0, 3, 2], [5])
    score_BA = model.score(history)
    np.testing.assert_allclose(score_BA, all_path_logp(model, history), atol=1e-5)
    # Every code competes with those that lead to an item, so the items share all probability.
    np.testing.assert_allclose(np.exp(score_BA).sum(axis=1), 1.0, atol=1e-5)


def test_a_narrow_beam_leaves_items_out(monkeypatch):
    monkeypatch.setattr(encoder_decoder, "_BEAM_WIDTH", 2)
    model = make()
    history = histories([0, 3, 2])
    score_A = model.score(history)[0]
    assert np.isfinite(score_A).sum() == 2
    exact_A = all_path_logp(model, history)[0]
    found = np.isfinite(score_A)
    np.testing.assert_allclose(score_A[found], exact_A[found], atol=1e-5)


def test_a_user_is_read_alike_alone_and_in_a_batch():
    model = make()
    together = model.score(histories([0, 3, 2, 1, 5], [4]))
    alone = model.score(histories([4]))
    np.testing.assert_allclose(alone[0], together[1], atol=1e-5)


def test_the_target_and_what_follows_it_are_not_read():
    model = make()
    seen = []
    read = model.read
    model.read = lambda item_MT: seen.append(item_MT.clone()) or read(item_MT)
    model.loss(torch.tensor([[0, 1, 2, 3, 4]]), torch_stream(0, "places"))
    for history_T in seen[0]:
        known = history_T[history_T >= 0].tolist()
        assert known == list(range(len(known)))
        assert 1 <= len(known) <= 4


def test_a_model_learns_what_always_follows():
    model = make().train()
    item_BT = torch.tensor([[0, 5, 0, 5, -1], [1, 4, 1, 4, 1], [2, 3, 2, -1, -1]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for update in range(60):
        optimizer.zero_grad()
        model.loss(item_BT, torch_stream(0, "places", update)).backward()
        optimizer.step()
    model.eval()
    assert model.score(histories([0], [1], [2], [3])).argmax(axis=1).tolist() == [5, 4, 3, 2]
