"""T17: importance ratios are 1 before the first update: same head, legal sets and no dropout."""

import numpy as np
import pytest
import torch

from gpr_core.generation.path_logp import path_log_probs
from gpr_core.training.hepo_requests import sampling
from tests.gpr_core.training.small_hepo import CONFIG, make_model, make_simulator

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    return make_simulator(tmp_path_factory, num_requests=24)


def largest_deviation(simulator, *, change_head=False, all_legal=False, dropout=False):
    """Recompute the rollout's log-probabilities and compare the ratios with 1."""
    model, rows = make_model(), np.arange(simulator.num_requests)
    found = simulator.rollout(model, rows, sampling(CONFIG, 3), seed=0).candidates
    legal = simulator.legal(simulator.decode_requests(rows))
    if all_legal:
        legal = torch.ones_like(legal)
    head = 1 - found.head_M if change_head else found.head_M
    model.train(mode=dropout)
    torch.manual_seed(0)  # noqa: TID251
    with torch.no_grad():
        state = model.read(simulator.read(rows))
        again = path_log_probs(
            model, state, simulator.trie, legal, found.row_M, head, found.path_ML
        )
    return float(((again.logp_ML - found.logp_ML).exp() - 1.0).abs().max())


def test_ratios_are_one(simulator):
    assert largest_deviation(simulator) <= TOLERANCE


@pytest.mark.parametrize("mistake", ["change_head", "all_legal", "dropout"])
def test_twins_are_caught(simulator, mistake):
    assert largest_deviation(simulator, **{mistake: True}) > TOLERANCE
