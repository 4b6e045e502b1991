"""Interface of the step `simulator_snapshot`."""

from components.runtime.step_spec import Artifact, Resources, StepSpec

SPEC = StepSpec(
    name="simulator_snapshot",
    summary="Freeze catalog, rankers, rules, budgets and requests into a simulator.",
    inputs=("corpus", "tokenizer", "catalog", "vaft_checkpoint"),
    outputs=(
        Artifact(
            name="snapshot",
            type="dataset",
            contracts={
                "requests.parquet": "snapshot_requests",
                "timelines.parquet": "timelines",
                "thoughts.parquet": "thoughts",
                "impressions.parquet": "snapshot_impressions",
                "ad_events.parquet": "snapshot_ad_events",
                "catalog/ads.parquet": "catalog_ads",
                "catalog/ad_versions.parquet": "ad_versions",
            },
            optional=("thoughts.parquet",),
        ),
    ),
    section="simulator_snapshot",
    code=(
        "components/simulator_snapshot",
        "gpr_core/catalog",
        "gpr_core/data",
        "gpr_core/features",
        "gpr_core/generation",
        "gpr_core/models",
        "gpr_core/objectives",
        "gpr_core/simulation",
        "gpr_core/support",
        "gpr_core/tokenizer",
        "gpr_core/training/config.py",
        "gpr_core/training/sequence_file.py",
    ),
    gates={
        "ranker_calibration": (
            "mean prediction over mean outcome of the click ranker is 1 on held-out logs, within "
            "calibration_tolerance and three standard errors"
        ),
        "ranker_auc": (
            "the click ranker orders held-out logs better than min_auc less two standard errors"
        ),
        "replay_bit_exact": "two rollouts of the same policy and seed are identical, bit by bit",
    },
    resources=Resources(gpus=1, cpu=2, memory_gib=8),
)
