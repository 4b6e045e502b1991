"""The work of the step `vaft`."""

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from components.runtime.context import StepContext, StepResult
from components.runtime.curves import write_curves
from components.vaft.gates import finite_gate, hit_rate_gate, weight_gates
from gpr_core.catalog.eligibility import FrequencyCounter
from gpr_core.models.checkpoint import CheckpointMeta, load_checkpoint, save_checkpoint
from gpr_core.models.gpr import GPR
from gpr_core.support.hashing import hash_file
from gpr_core.training.config import SequenceConfig, VaftConfig
from gpr_core.training.examples import Examples, build_examples
from gpr_core.training.inputs import SupervisedInputs, load_inputs
from gpr_core.training.mtp import Surroundings
from gpr_core.training.sequence_file import load_sequence, save_sequence
from gpr_core.training.vaft import fine_tune
from gpr_core.training.validation import (
    GateScores,
    gate_eligibility,
    hit_list_length,
    score_gate_requests,
)

PARAMS = VaftConfig


def run(context: StepContext[VaftConfig]) -> StepResult:
    """Fine-tune the pre-trained model and compare it with its start.

    Args:
        context: Inputs `corpus`, `tokenizer`, `catalog`, `mtp_checkpoint`; output
            `vaft_checkpoint`.

    Returns:
        Metrics and one result per gate.

    Raises:
        ArtifactError: If the checkpoint speaks another tokenizer.
        ContractError: If corpus, semantic ids and catalog do not fit each other.
        LegalityError: If a target was not active at its request.
        GateError: If a loss is not finite.
    """
    progress = context.progress
    progress.phase("joining timelines, targets and catalog")
    inputs = load_inputs(*(context.inputs[name] for name in ("corpus", "tokenizer", "catalog")))
    parent = context.inputs["mtp_checkpoint"]
    sequence = load_sequence(parent)
    model = load_checkpoint(
        parent, tokenizer_version=inputs.tokenizer_version, device=context.device
    )
    examples = build_examples(
        inputs.tables,
        inputs.catalog,
        sequence,
        num_heads=model.config.num_heads,
        cutoff_ts=context.cutoff_ts,
        seed=context.seed,
    )
    progress.phase("scoring the pre-trained model on held-out requests of the last day")
    before = _score(context, model, examples, inputs, sequence)
    progress.phase("fine-tuning with value weights")
    curve = fine_tune(
        model,
        examples,
        sequence,
        context.params,
        Surroundings(
            seed=context.seed,
            device=context.device,
            cutoff_ts=context.cutoff_ts,
            scratch=context.scratch,
            progress=progress,
            processes=context.processes,
        ),
    )
    progress.phase("measuring gates")
    after = _score(context, model, examples, inputs, sequence)
    meta = CheckpointMeta(
        tokenizer_version=inputs.tokenizer_version,
        catalog_version=inputs.catalog_version,
        parent=hash_file(parent / "weights.safetensors"),
    )
    _write_outputs(context, model, meta, sequence, curve)
    weights, numbers = weight_gates(inputs.tables, context.inputs["corpus"], context.params)
    hit_rate, changes = hit_rate_gate(before, after, context.params)
    metrics = {**numbers, **changes, **_metrics(before, after, inputs.catalog.trie.num_ads)}
    metrics["updates"] = float(curve.num_rows)
    return StepResult(metrics=metrics, gates=(*weights, hit_rate, finite_gate(model, curve)))


def _score(
    context: StepContext[VaftConfig],
    model: GPR,
    examples: Examples,
    inputs: SupervisedInputs,
    sequence: SequenceConfig,
) -> GateScores:
    """Score a model on the held-out requests."""
    shown = inputs.tables.decisions.select(["user_key", "ts", "ad_key"])
    frequency = FrequencyCounter(shown, inputs.catalog.trie)
    return score_gate_requests(
        model,
        examples,
        gate_eligibility(examples, inputs.catalog.ad_table, frequency),
        inputs.catalog.ad_table,
        max_tokens=sequence.max_tokens,
        device=context.device,
    )


def _write_outputs(
    context: StepContext[VaftConfig],
    model: GPR,
    meta: CheckpointMeta,
    sequence: SequenceConfig,
    curve: pa.Table,
) -> None:
    """Write checkpoint, sequence parameters, curve and plot."""
    folder = context.outputs["vaft_checkpoint"]
    save_checkpoint(folder, model, meta)
    save_sequence(folder, sequence)
    pq.write_table(curve, folder / "curve.parquet", compression="zstd")
    csv.write_csv(curve, context.plots / "curve.csv")
    write_curves(curve, context.reports)


def _metrics(before: GateScores, after: GateScores, num_ads: int) -> dict[str, float]:
    """Give the scores before and after."""
    if not before.nll_M.size:
        return {}
    length = hit_list_length(num_ads)
    return {
        "gate_nll_before": float(before.nll_M.mean()),
        "gate_nll": float(after.nll_M.mean()),
        f"gate_hit_rate_at_{length}_before": float(before.hit_M.mean()),
        f"gate_hit_rate_at_{length}": float(after.hit_M.mean()),
        "gate_requests": float(after.hit_M.size),
    }
