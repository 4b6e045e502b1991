"""Interface of the step `corpus_curation`."""

from components.runtime.step_spec import Artifact, Resources, StepSpec

SPEC = StepSpec(
    name="corpus_curation",
    summary="Check the lake up to the training day and turn it into timelines and decisions.",
    outputs=(
        Artifact(
            name="corpus",
            type="dataset",
            contracts={
                "users.parquet": "users",
                "user_stats_daily.parquet": "user_stats_daily",
                "ads.parquet": "ads",
                "ad_versions.parquet": "ad_versions",
                "content.parquet": "content",
                "item_vectors.parquet": "item_vectors",
                "tokenizer_sample.parquet": "tokenizer_sample",
                "timelines.parquet": "timelines",
                "decisions.parquet": "decisions",
                "value_weights.parquet": "value_weights",
                "thoughts.parquet": "thoughts",
            },
            optional=("thoughts.parquet",),
        ),
    ),
    section="corpus_curation",
    run_params=("day", "seed", "threads", "champion", "refit"),
    lake_manifests=("train",),
    code=(
        "components/corpus_curation",
        "components/runtime/lake_inputs.py",
        "components/runtime/model_store.py",
        "components/runtime/thoughts.py",
        "data_contracts",
        "gpr_core/data",
        "gpr_core/embeddings/hashed_text.py",
        "gpr_core/features/batch.py",
        "gpr_core/features/buckets.py",
        "gpr_core/features/corpus.py",
        "gpr_core/features/fields.py",
        "gpr_core/features/private_sessions.py",
        "gpr_core/features/timeline.py",
        "gpr_core/features/token_fields.py",
        "gpr_core/knowledge",
        "gpr_core/objectives/value_weights.py",
        "gpr_core/support",
    ),
    gates={
        "time_order": "tokens are sorted by user, time and kind, and each sequence begins with U",
        "nothing_after_cutoff": "no row of the corpus happened or became known after the cutoff",
        "near_duplicates_stay_together": "no near duplicates on two sides of the tokenizer split",
        "category_balance": "category weights stay below the cap and even out the categories",
        "enough_decisions": "there is at least one decision and one token to learn from",
    },
    plots=("days.csv",),
    resources=Resources(gpus=0, cpu=2, memory_gib=6),
)
