"""Interface of the step `vaft`."""

from components.runtime.step_spec import Artifact, Resources, StepSpec

SPEC = StepSpec(
    name="vaft",
    summary="Fine-tune the pre-trained model with weights for what each exposure was worth.",
    inputs=("corpus", "tokenizer", "catalog", "mtp_checkpoint"),
    outputs=(
        Artifact(
            name="vaft_checkpoint",
            type="model",
            contracts={"curve.parquet": "training_curve"},
        ),
    ),
    section="vaft",
    code=(
        "components/vaft",
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
        "gpr_core/training/loop.py",
        "gpr_core/training/matching.py",
        "gpr_core/training/mtp.py",
        "gpr_core/training/part_losses.py",
        "gpr_core/training/schedules.py",
        "gpr_core/training/sequence_file.py",
        "gpr_core/training/stages.py",
        "gpr_core/training/supervised.py",
        "gpr_core/training/totals.py",
        "gpr_core/training/vaft.py",
        "gpr_core/training/validation.py",
    ),
    gates={
        "weight_order": "mean weights order as conversion > click > impression",
        "weight_mean_one": "the mean weight of all decisions is 1",
        "clipped_share": "few weights lie at a bound of the clip",
        "hit_rate_drop": "the hit rate on held-out requests falls by no more than allowed",
        "no_nan": "all weights and logged losses are finite",
    },
    plots=("curve.csv",),
    parallel=True,
    resources=Resources(gpus=1, cpu=2, memory_gib=8),
)
