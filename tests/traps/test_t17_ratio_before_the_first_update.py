"""T17: importance ratios are 1 before the first update.

Same head, same legal sets, no dropout, and the same noise of the refining diffusion.
"""

import numpy as np
import pytest
import torch

from gpr_core.generation.path_logp import path_log_probs
from gpr_core.models.config import RecursionConfig, RefiningConfig
from gpr_core.training.hepo_requests import sampling
from tests.conformance.generator import make_requests
from tests.gpr_core.training.small_hepo import CONFIG, make_model, make_simulator

TOLERANCE = 1e-5
DIFFUSION = {"refine": RefiningConfig(kind="diffusion")}
ALL_PARTS = {
    **DIFFUSION,
    "hsd_layers": 3,
    "recursion": RecursionConfig(router="expert_choice"),
    "think": "sequential",
    "knowledge_vectors": 2,
}


@pytest.fixture(scope="module")
def simulator(tmp_path_factory):
    return make_simulator(tmp_path_factory, num_requests=24, with_thoughts=True)


def largest_deviation(
    simulator, parts=None, *, change_head=False, all_legal=False, dropout=False, new_noise=False
):
    """Recompute the rollout's log-probabilities and compare the ratios with 1."""
    model, rows = make_model(**(parts or {})), np.arange(simulator.num_requests)
    found = simulator.rollout(model, rows, sampling(CONFIG, 3), seed=0).candidates
    legal = simulator.decode_requests(rows).eligible
    if all_legal:
        legal = make_requests(np.ones_like(legal.mask())).eligible
    head = 1 - found.head_M if change_head else found.head_M
    model.train(mode=dropout)
    if new_noise:
        model.draw_new_noise(1)
    torch.manual_seed(0)  # noqa: TID251
    with torch.no_grad():
        state = model.read(simulator.read(rows))
        again = path_log_probs(
            model, state, simulator.trie, legal, found.row_M, head, found.path_ML
        )
    return float(((again.logp_ML - found.logp_ML).exp() - 1.0).abs().max())


@pytest.mark.parametrize("parts", [{}, ALL_PARTS], ids=["default", "all parts"])
def test_ratios_are_one(simulator, parts):
    assert largest_deviation(simulator, parts) <= TOLERANCE


def test_other_noise_of_the_diffusion_is_caught(simulator):
    assert largest_deviation(simulator, DIFFUSION, new_noise=True) > TOLERANCE


@pytest.mark.parametrize("mistake", ["change_head", "all_legal", "dropout"])
def test_twins_are_caught(simulator, mistake):
    assert largest_deviation(simulator, **{mistake: True}) > TOLERANCE
