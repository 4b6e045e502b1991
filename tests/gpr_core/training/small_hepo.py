"""A small policy in a small simulator, for tests of HEPO."""

import dataclasses

import torch

from gpr_core.data.tables import DAY_MS
from gpr_core.models.config import ModelConfig
from gpr_core.models.gpr import GPR
from gpr_core.simulation.config import SnapshotConfig
from gpr_core.support.progress import Progress
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.hepo import Workplace
from gpr_core.training.hepo_config import CriticConfig, HepoConfig
from tests.gpr_core.simulation.small_corpus import CUTOFF, SIZES, START, make_corpus
from tests.gpr_core.simulation.small_snapshot import load_simulator, make_snapshot
from tests.thoughts import make_thoughts

CONFIG = HepoConfig(
    iterations=1,
    epochs=2,
    num_candidates=8,
    batch_requests=16,
    learning_rate=1e-3,
    kl_cap=0.1,
    vaft_weight=0.0,
    critic=CriticConfig(min_r2=0.05, warmup_epochs=8, learning_rate=1e-2, batch_candidates=64),
)


def make_simulator(tmp_path_factory, num_requests=60, *, with_thoughts=False):
    """Write a small snapshot and load it, with a thought about everybody or none."""
    corpus = make_corpus(tmp_path_factory.mktemp("corpus"), num_users=24)
    config = SnapshotConfig(num_requests=num_requests, request_days=4, rehearsed_share=0.1)
    days = range(START // DAY_MS, CUTOFF // DAY_MS)
    said = [(user, day, [1 + user, day - 19_000]) for user in range(1, 25) for day in days]
    thoughts = make_thoughts(*said) if with_thoughts else None
    folder = tmp_path_factory.mktemp("snapshot")
    return load_simulator(make_snapshot(folder, corpus, config, thoughts=thoughts), corpus)


def make_model(seed=0, **changes):
    """Draw a small policy, with other switches if given."""
    seed_global_torch(seed, "test model")
    config = ModelConfig(
        width=16, attention_heads=2, hsd_layers=1, ptd_layers=1, num_thoughts=2, num_heads=2,
        memory_tokens=16,
    )  # fmt: skip
    return GPR(dataclasses.replace(config, **changes), SIZES).eval()


def make_place(simulator, scratch, code_loss=None):
    """Describe where HEPO works; the code loss is a constant unless given."""
    return Workplace(
        simulator=simulator,
        code_loss=code_loss or (lambda model, update: torch.zeros(())),
        seed=0,
        scratch=scratch,
        progress=Progress("hepo"),
    )
