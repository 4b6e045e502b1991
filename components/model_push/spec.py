"""Interface of the step `model_push`."""

from components.runtime.step_spec import Artifact, Resources, StepSpec

SPEC = StepSpec(
    name="model_push",
    summary="Publish an accepted policy as an immutable version and make it the champion.",
    inputs=("corpus", "tokenizer", "catalog", "hepo_checkpoint", "evaluation"),
    outputs=(Artifact(name="push", type="report", cached=False),),
    section="model_push",
    run_params=("day", "seed", "champion"),
    code=(
        "components/model_push",
        "components/runtime/model_store.py",
        "gpr_core/catalog",
        "gpr_core/data",
        "gpr_core/embeddings/hashed_text.py",
        "gpr_core/evaluation/config.py",
        "gpr_core/features",
        "gpr_core/generation",
        "gpr_core/knowledge",
        "gpr_core/models",
        "gpr_core/objectives",
        "gpr_core/support",
        "gpr_core/tokenizer",
        "gpr_core/training/config.py",
        "gpr_core/training/sequence_file.py",
    ),
    gates={
        "verdict_allows": "the evaluation's verdict promotes this policy",
        "verdict_is_of_these_bytes": "the verdict was given to exactly the bytes to be pushed",
        "smoke_test": "a fresh process loads the bundle and answers the smoke requests legally",
    },
    resources=Resources(cpu=2, memory_gib=2),
)
