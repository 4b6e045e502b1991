"""Interface of the step `tokenization`."""

from components.runtime.step_spec import Artifact, Resources, StepSpec

SPEC = StepSpec(
    name="tokenization",
    summary="Give every ad and every piece of content a semantic id; build the catalog's trie.",
    inputs=("corpus",),
    outputs=(
        Artifact(
            name="tokenizer",
            type="model",
            contracts={"sid_map.parquet": "sid_map", "id_map.parquet": "id_map"},
        ),
        Artifact(
            name="catalog",
            type="dataset",
            contracts={"ads.parquet": "catalog_ads", "ad_versions.parquet": "ad_versions"},
        ),
    ),
    section="tokenization",
    run_params=("day", "seed", "threads", "champion", "refit"),
    code=(
        "components/runtime/model_store.py",
        "components/tokenization",
        "gpr_core/catalog",
        "gpr_core/data/days.py",
        "gpr_core/data/tables.py",
        "gpr_core/support",
        "gpr_core/tokenizer",
    ),
    gates={
        "every_item_has_id": "every ad and every piece of content has a semantic id",
        "cur_level_1": "the training items use enough of the first-level codes (min_usage)",
        "collision_not_above_rq_kmeans": (
            "collision over all items is at most max_collision_gain above RQ-KMeans at the same n"
        ),
        "no_nan": "codebooks and reconstructions are finite",
    },
    plots=("training.csv",),
    resources=Resources(cpu=2, memory_gib=4),
)
