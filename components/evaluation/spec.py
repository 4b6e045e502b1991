"""Interface of the step `evaluation`."""

from components.runtime.step_spec import Artifact, Resources, StepSpec

SPEC = StepSpec(
    name="evaluation",
    summary="Judge all checkpoints on the next day against floors and champion; give the verdict.",
    inputs=(
        "corpus",
        "tokenizer",
        "catalog",
        "mtp_checkpoint",
        "vaft_checkpoint",
        "snapshot",
        "hepo_checkpoint",
    ),
    outputs=(
        Artifact(
            name="evaluation",
            type="metrics",
            contracts={"per_request.parquet": "evaluation_requests"},
        ),
    ),
    section="evaluation",
    run_params=("day", "seed", "device", "threads", "champion"),
    lake_manifests=("train", "evaluation"),
    code=(
        "components/evaluation",
        "components/runtime/lake_inputs.py",
        "components/runtime/model_store.py",
        "components/runtime/thoughts.py",
        "data_contracts",
        "gpr_core/baselines",
        "gpr_core/catalog",
        "gpr_core/data",
        "gpr_core/evaluation",
        "gpr_core/embeddings/hashed_text.py",
        "gpr_core/features",
        "gpr_core/generation",
        "gpr_core/knowledge",
        "gpr_core/models",
        "gpr_core/objectives",
        "gpr_core/simulation",
        "gpr_core/support",
        "gpr_core/tokenizer",
        "gpr_core/training/config.py",
        "gpr_core/training/sequence_file.py",
        "gpr_core/world",
    ),
    gates={
        "no_illegal_ad": "no policy or floor emits an ad that may not serve the request",
        "truth_eligible": "the exposed ad counts as eligible for nearly every evaluated request",
        "no_synthetic_rows": "no rehearsed request enters a metric",
        "enough_requests": "at least one request is evaluated",
    },
    plots=("metrics.csv",),
    resources=Resources(gpus=1, cpu=2, memory_gib=6),
)
