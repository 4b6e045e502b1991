"""Interface of the step `mtp_pretrain`."""

from components.runtime.step_spec import Artifact, Resources, StepSpec

SPEC = StepSpec(
    name="mtp_pretrain",
    summary="Train all prediction heads on what users were shown next, and the value heads.",
    inputs=("corpus", "tokenizer", "catalog"),
    outputs=(
        Artifact(
            name="mtp_checkpoint",
            type="model",
            contracts={"curve.parquet": "training_curve"},
        ),
    ),
    section="mtp_pretrain",
    run_params=("day", "seed", "device", "threads", "champion", "refit"),
    code=(
        "components/mtp_pretrain",
        "components/runtime/model_store.py",
        "gpr_core/catalog",
        "gpr_core/data",
        "gpr_core/features",
        "gpr_core/generation",
        "gpr_core/models",
        "gpr_core/objectives",
        "gpr_core/support",
        "gpr_core/tokenizer",
        "gpr_core/training/batches.py",
        "gpr_core/training/checkpointing.py",
        "gpr_core/training/config.py",
        "gpr_core/training/examples.py",
        "gpr_core/training/inputs.py",
        "gpr_core/training/leak_probe.py",
        "gpr_core/training/loop.py",
        "gpr_core/training/mtp.py",
        "gpr_core/training/part_losses.py",
        "gpr_core/training/popularity_floor.py",
        "gpr_core/training/schedules.py",
        "gpr_core/training/sequence_file.py",
        "gpr_core/training/stages.py",
        "gpr_core/training/supervised.py",
        "gpr_core/training/validation.py",
    ),
    gates={
        "better_than_popularity": "loss on held-out requests is below the popularity floor",
        "leak_probe": "logits do not change at all when only later tokens change",
        "targets_distinct": "no request has two heads with the same level-1 target",
        "heads_differ": "the heads' level-1 distributions differ by the configured divergence",
        "no_nan": "all weights and logged losses are finite",
    },
    plots=("curve.csv",),
    resources=Resources(gpus=1, cpu=2, memory_gib=8),
)
