"""The work of the step `mtp_pretrain`."""

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from components.mtp_pretrain.gates import measure_gates
from components.mtp_pretrain.start import start_model
from components.runtime.context import StepContext, StepResult
from components.runtime.curves import write_curves
from gpr_core.features.targets import count_shared_codes
from gpr_core.models.checkpoint import CheckpointMeta, save_checkpoint
from gpr_core.models.gpr import GPR
from gpr_core.support.errors import ConfigError
from gpr_core.training.config import MtpConfig
from gpr_core.training.examples import Examples, build_examples
from gpr_core.training.inputs import load_inputs
from gpr_core.training.mtp import Surroundings, pretrain
from gpr_core.training.sequence_file import save_sequence

PARAMS = MtpConfig

_LOGGER = logging.getLogger("gpr.knowledge")


def run(context: StepContext[MtpConfig]) -> StepResult:
    """Pre-train a model and measure its gates.

    Args:
        context: Inputs `corpus`, `tokenizer`, `catalog`; output `mtp_checkpoint`.

    Returns:
        Metrics and one result per gate.

    Raises:
        ConfigError: If the model reads external knowledge and the corpus has none.
        ContractError: If corpus, semantic ids and catalog do not fit each other.
        LegalityError: If a target was not active at its request.
        GateError: If a loss is not finite.
    """
    params, progress = context.params, context.progress
    progress.phase("joining timelines, targets and catalog")
    inputs = load_inputs(*(context.inputs[name] for name in ("corpus", "tokenizer", "catalog")))
    _check_knowledge(params, has_thoughts=inputs.tables.thoughts is not None)
    examples = build_examples(
        inputs.tables,
        inputs.catalog,
        params.sequence,
        num_heads=params.model.num_heads,
        cutoff_ts=context.cutoff_ts,
        seed=context.seed,
    )
    start = start_model(
        context,
        tokenizer_version=inputs.tokenizer_version,
        codebook_sizes=inputs.catalog.trie.codebook_sizes,
    )
    progress.phase(start.reason)
    curve = pretrain(
        start.model,
        examples,
        params,
        Surroundings(
            seed=context.seed,
            device=context.device,
            cutoff_ts=context.cutoff_ts,
            scratch=context.scratch,
            progress=progress,
            processes=context.processes,
        ),
        continues=start.parent is not None,
    )
    progress.phase("measuring gates on held-out requests of the last day")
    gates, scores = measure_gates(context, start.model, examples, inputs, curve)
    meta = CheckpointMeta(
        tokenizer_version=inputs.tokenizer_version,
        catalog_version=inputs.catalog_version,
        parent=start.parent,
    )
    _write_outputs(context, start.model, meta, curve)
    metrics = _metrics(start.model, examples, curve)
    metrics["started_from_champion"] = float(start.parent is not None)
    return StepResult(metrics={**metrics, **scores}, gates=gates)


def _check_knowledge(params: MtpConfig, *, has_thoughts: bool) -> None:
    """Refuse a model that reads thoughts of which there are none; name thoughts nobody reads."""
    vectors = params.model.knowledge_vectors
    if vectors and not has_thoughts:
        raise ConfigError(
            f"knowledge_vectors is {vectors}, but the corpus has no thoughts",
            where="params.yaml mtp_pretrain.model",
            fix="set corpus_curation.thoughts.provider: template, or knowledge_vectors: 0",
        )
    if has_thoughts and not vectors:
        _LOGGER.warning(
            "the corpus has thoughts that this model does not read: set "
            "mtp_pretrain.model.knowledge_vectors (4 is usual), or "
            "corpus_curation.thoughts.provider: none once no champion reads them"
        )


def _write_outputs(
    context: StepContext[MtpConfig], model: GPR, meta: CheckpointMeta, curve: pa.Table
) -> None:
    """Write checkpoint, sequence parameters and curve."""
    folder = context.outputs["mtp_checkpoint"]
    save_checkpoint(folder, model, meta)
    save_sequence(folder, context.params.sequence)
    pq.write_table(curve, folder / "curve.parquet", compression="zstd")
    _write_plot(curve, context.plots)
    write_curves(curve, context.reports)


def _write_plot(curve: pa.Table, folder: Path) -> None:
    """Write the curve as a DVC plot."""
    csv.write_csv(curve, folder / "curve.csv")


def _metrics(model: GPR, examples: Examples, curve: pa.Table) -> dict[str, float]:
    """Count what was trained on, and give the last running losses."""
    metrics = {
        "updates": float(curve.num_rows),
        "windows": float(examples.windows.begin_W.size),
        "loss_requests": float(examples.is_loss_X.sum()),
        "gate_requests": float(examples.is_gate_X.sum()),
        "shared_target_codes": float(count_shared_codes(examples.target_XJ, examples.path_XL)),
    }
    is_loss_X = examples.is_loss_X
    for head, weight in enumerate(model.head_weights_J.tolist(), start=1):
        has_target_X = examples.target_XJ[is_loss_X, head - 1] >= 0
        metrics[f"target_share_head_{head}"] = float(has_target_X.mean())
        metrics[f"weight_head_{head}"] = weight
        last = curve[f"nll_head_{head}"].to_numpy()[-1]
        if np.isfinite(last):
            metrics[f"nll_head_{head}"] = float(last)
    return metrics
