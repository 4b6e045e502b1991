import dataclasses

import pyarrow.parquet as pq
import pytest

from components.hepo.main import _gates, run
from components.hepo.spec import SPEC
from components.simulator_snapshot.main import run as run_snapshot
from gpr_core.models.checkpoint import load_checkpoint, read_checkpoint_meta
from gpr_core.simulation.rollout import ROLLOUT_COLUMNS
from gpr_core.support.hashing import hash_file, hash_files
from gpr_core.training.hepo import HepoResult
from gpr_core.training.hepo_config import CriticConfig, HepoConfig
from tests.components.simulator_snapshot.test_main import PARAMS as SNAPSHOT
from tests.gpr_core.simulation.small_corpus import TOKENIZER_VERSION
from tests.gpr_core.training.small_steps import make_context, make_inputs

PARAMS = HepoConfig(
    iterations=1, epochs=1, num_candidates=6, batch_requests=16, learning_rate=1e-3, kl_cap=0.2,
    holdout_share=0.3,
    critic=CriticConfig(min_r2=0.0, warmup_epochs=6, learning_rate=1e-2, batch_candidates=64),
)  # fmt: skip
OUTPUTS = ["hepo_checkpoint", "rollouts"]
GOOD = HepoResult(
    curve=None, rollout=None, behavior=None, start_reward=1.0, reward=1.5, legal_share=1.0,
    critic_r2=0.3, kl=0.01,
)  # fmt: skip


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("inputs")
    folders = make_inputs(root)
    context = make_context(
        dataclasses.replace(SNAPSHOT, num_requests=60), root, folders, ["snapshot"]
    )
    run_snapshot(context)
    return {**folders, "snapshot": root / "snapshot"}


def test_step_writes_checkpoint_and_rollouts(inputs, tmp_path):
    result = run(make_context(PARAMS, tmp_path, inputs, OUTPUTS))
    assert {gate.name for gate in result.gates} == set(SPEC.gates)
    assert all(gate.passed for gate in result.gates), result.gates
    meta = read_checkpoint_meta(tmp_path / "hepo_checkpoint")
    start = inputs["vaft_checkpoint"] / "weights.safetensors"
    assert meta.parent == hash_file(start)
    load_checkpoint(tmp_path / "hepo_checkpoint", tokenizer_version=TOKENIZER_VERSION)
    rollouts = pq.read_table(tmp_path / "rollouts" / "rollouts.parquet")
    assert tuple(rollouts.column_names) == ROLLOUT_COLUMNS
    assert len(rollouts["policy_hash"].unique()) == len(rollouts["snapshot_hash"].unique()) == 1
    assert pq.read_table(tmp_path / "hepo_checkpoint" / "curve.parquet").num_rows == 3


def test_same_inputs_give_the_same_bytes(inputs, tmp_path):
    hashes = []
    for name in ("a", "b"):
        run(make_context(PARAMS, tmp_path / name, inputs, OUTPUTS))
        hashes.append([hash_files(tmp_path / name / output) for output in OUTPUTS])
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("change", "failing"),
    [
        ({}, set()),
        ({"critic_r2": 0.04}, {"critic_r2"}),
        ({"kl": 0.03}, {"kl_cap"}),
        ({"legal_share": 0.999}, {"all_legal"}),
        ({"reward": 0.999}, {"reward_not_below_start"}),
        ({"reward": 1.0}, set()),
    ],
)
def test_gates(change, failing):
    gates = _gates(HepoConfig(), GOOD._replace(**change))
    assert {gate.name for gate in gates if not gate.passed} == failing
