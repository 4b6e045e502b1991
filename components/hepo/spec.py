"""Interface of the step `hepo`."""

from components.runtime.step_spec import Artifact, Resources, StepSpec

SPEC = StepSpec(
    name="hepo",
    summary="Improve the policy on simulated rewards with hierarchical process rewards.",
    inputs=("corpus", "tokenizer", "catalog", "vaft_checkpoint", "snapshot"),
    outputs=(
        Artifact(
            name="hepo_checkpoint",
            type="model",
            contracts={"curve.parquet": "training_curve"},
        ),
        Artifact(
            name="rollouts",
            type="dataset",
            contracts={"rollouts.parquet": "rollouts"},
        ),
    ),
    section="hepo",
    code=(
        "components/hepo",
        "components/runtime/curves.py",
        "gpr_core/catalog",
        "gpr_core/data",
        "gpr_core/features",
        "gpr_core/generation",
        "gpr_core/models",
        "gpr_core/objectives",
        "gpr_core/simulation",
        "gpr_core/support",
        "gpr_core/tokenizer",
        "gpr_core/training",
    ),
    gates={
        "critic_r2": "before the first policy step the critic explains min_r2 of held-out returns",
        "kl_cap": "no round moved the policy further than kl_cap from its rollouts",
        "all_legal": "every candidate of every rollout was eligible for its request",
        "reward_not_below_start": "held-out simulated reward is not below the starting policy's",
    },
    plots=("curve.csv",),
    resources=Resources(gpus=1, cpu=2, memory_gib=8),
)
