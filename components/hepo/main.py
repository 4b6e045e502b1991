"""The work of the step `hepo`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from pyarrow import csv
from torch import Tensor

from components.runtime.context import GateResult, StepContext, StepResult
from components.runtime.curves import write_curves
from gpr_core.models.checkpoint import CheckpointMeta, load_checkpoint, save_checkpoint
from gpr_core.models.gpr import GPR
from gpr_core.objectives.code_loss import code_loss, path_logp
from gpr_core.simulation.rollout import Simulator
from gpr_core.simulation.snapshot import load_snapshot
from gpr_core.support.hashing import hash_file, hash_value
from gpr_core.training.batches import BatchSource
from gpr_core.training.config import OptimizerConfig, SequenceConfig
from gpr_core.training.examples import build_examples
from gpr_core.training.hepo import HepoResult, Workplace, post_train
from gpr_core.training.hepo_config import HepoConfig
from gpr_core.training.inputs import SupervisedInputs, load_inputs
from gpr_core.training.sequence_file import load_sequence, save_sequence

PARAMS = HepoConfig


def run(context: StepContext[HepoConfig]) -> StepResult:
    """Post-train the fine-tuned policy.

    Args:
        context: Inputs `corpus`, `tokenizer`, `catalog`, `vaft_checkpoint`, `snapshot`; outputs
            `hepo_checkpoint` and `rollouts`.

    Returns:
        Metrics and the four gates.

    Raises:
        ContractError: If the inputs do not fit each other or hold too few requests.
        ArtifactError: If an input is damaged or of another tokenizer.
        GateError: If a loss is not finite.
    """
    start = context.inputs["vaft_checkpoint"]
    context.progress.phase("loading the simulator")
    inputs = load_inputs(*(context.inputs[name] for name in ("corpus", "tokenizer", "catalog")))
    sequence = load_sequence(start)
    simulator = _load_simulator(context, inputs, sequence)
    model = load_checkpoint(
        start, tokenizer_version=inputs.tokenizer_version, device=context.device
    )
    place = Workplace(
        simulator=simulator,
        code_loss=_code_loss(context, inputs, sequence, num_heads=model.config.num_heads),
        seed=context.seed,
        scratch=context.scratch,
        progress=context.progress,
    )
    result = post_train(model, context.params, place)
    _write_outputs(context, model, result, inputs, simulator)
    return StepResult(metrics=_metrics(result), gates=_gates(context.params, result))


def _load_simulator(
    context: StepContext[HepoConfig], inputs: SupervisedInputs, sequence: SequenceConfig
) -> Simulator:
    """Load the snapshot and let it read timelines as the model was trained to."""
    snapshot = load_snapshot(context.inputs["snapshot"], tokenizer_version=inputs.tokenizer_version)
    store = snapshot.timeline_store(inputs.catalog.sid_map)
    return Simulator(
        snapshot=snapshot,
        prefixes=lambda keys: store.prefix_batch(keys, sequence.max_tokens),
        device=context.device,
    )


def _code_loss(
    context: StepContext[HepoConfig],
    inputs: SupervisedInputs,
    sequence: SequenceConfig,
    *,
    num_heads: int,
) -> Callable[[GPR, int], Tensor]:
    """Make the value-aware code loss that is mixed into every update."""
    examples = build_examples(
        inputs.tables,
        inputs.catalog,
        sequence,
        num_heads=num_heads,
        cutoff_ts=context.cutoff_ts,
        seed=context.seed,
    )
    source = BatchSource(
        examples,
        sequence,
        OptimizerConfig(),
        seed=context.seed,
        stage="hepo",
        epochs=1,
        device=context.device,
    )

    def loss_at(model: GPR, update: int) -> Tensor:
        batch = source.at(update)
        logits = model.path_logits(model.read(batch.timeline), batch.path_MJL)
        logp_MJL = path_logp(logits, batch.path_MJL, batch.legal, batch.ok_MJ)
        return code_loss(logp_MJL, batch.ok_MJ, model.head_weights_J, batch.omega_MJ).loss

    return loss_at


def _write_outputs(
    context: StepContext[HepoConfig],
    model: GPR,
    result: HepoResult,
    inputs: SupervisedInputs,
    simulator: Simulator,
) -> None:
    """Write checkpoint, curve and rollouts."""
    folder = context.outputs["hepo_checkpoint"]
    parent = hash_file(context.inputs["vaft_checkpoint"] / "weights.safetensors")
    meta = CheckpointMeta(
        tokenizer_version=inputs.tokenizer_version,
        catalog_version=inputs.catalog_version,
        parent=parent,
    )
    save_checkpoint(folder, model, meta)
    save_sequence(folder, load_sequence(context.inputs["vaft_checkpoint"]))
    pq.write_table(result.curve, folder / "curve.parquet", compression="zstd")
    csv.write_csv(result.curve, context.plots / "curve.csv")
    write_curves(result.curve, context.reports)
    shard = simulator.table(result.rollout, policy_hash=_policy_hash(result.behavior))
    pq.write_table(
        shard, Path(context.outputs["rollouts"]) / "rollouts.parquet", compression="zstd"
    )


def _policy_hash(model: GPR) -> str:
    """Hash the weights that made the rollouts."""
    digests = {
        name: hash_value(np.asarray(value.cpu()).tobytes().hex())
        for name, value in model.state_dict().items()
    }
    return hash_value(digests)


def _metrics(result: HepoResult) -> dict[str, float]:
    """Choose the numbers worth comparing between runs."""
    last = result.curve.slice(result.curve.num_rows - 1).to_pylist()[0]
    rewards = result.rollout.rewards
    return {
        "reward/start": result.start_reward,
        "reward/result": result.reward,
        "reward/gain": result.reward - result.start_reward,
        "critic/r2": result.critic_r2,
        "kl/largest_round": result.kl,
        "process_reward/share_of_std": float(max(result.curve["process_share"].to_pylist())),
        "rounds": float(last["iteration"] + 1),
        "last_round/trial_reward": float(last["trial_reward"]),
        "last_round/step_share": float(last["step_share"]),
        "rollout/candidates": float(rewards.final_value_M.size),
        "rollout/negative_value_share": float((rewards.final_value_M < 0).mean()),
    }


def _gates(params: HepoConfig, result: HepoResult) -> tuple[GateResult, ...]:
    """Judge the run."""
    return (
        GateResult(
            name="critic_r2",
            passed=result.critic_r2 >= params.critic.min_r2,
            value=result.critic_r2,
            bound=params.critic.min_r2,
            message=f"the critic explains {result.critic_r2:.3f} of held-out returns before the "
            f"first policy step, expected at least {params.critic.min_r2}; raise "
            "simulator_snapshot.num_requests or critic.warmup_epochs",
        ),
        GateResult(
            name="kl_cap",
            passed=result.kl <= params.kl_cap,
            value=result.kl,
            bound=params.kl_cap,
            message=f"the largest divergence of a round is {result.kl:.4f} nats per choice, "
            f"expected at most {params.kl_cap}; lower learning_rate",
        ),
        GateResult(
            name="all_legal",
            passed=result.legal_share == 1.0,
            value=result.legal_share,
            bound=1.0,
            message=f"{result.legal_share:.4%} of the candidates are eligible, expected all; the "
            "decoder and the eligibility disagree",
        ),
        GateResult(
            name="reward_not_below_start",
            passed=result.reward >= result.start_reward,
            value=result.reward,
            bound=result.start_reward,
            message=f"held-out simulated reward went from {result.start_reward:.4f} to "
            f"{result.reward:.4f}, expected no fall; no round may be kept that earns less",
        ),
    )
