from components.model_push.bundle import lineage, stage_bundle
from components.runtime.model_store import content_hash
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_file


def test_bundle_holds_what_is_served_and_no_bookkeeping(stage):
    inputs, bundle = stage.context().inputs, stage.root / "bundle"
    (bundle / "old").mkdir(parents=True)
    stage_bundle(inputs, bundle)
    assert not (bundle / "old").exists()
    assert content_hash(bundle / "policy") == content_hash(inputs["hepo_checkpoint"])
    assert not list(bundle.rglob("gate_report.json"))
    assert sorted(path.name for path in (bundle / "corpus_stats").iterdir()) == [
        "buckets.json",
        "embedding_stats.json",
        "split.json",
        "value_weights.json",
    ]


def test_no_table_of_users_enters_a_bundle(stage):
    bundle = stage.root / "bundle"
    for name in ("users", "timelines", "decisions"):
        (stage.root / "inputs" / "corpus" / f"{name}.parquet").write_bytes(b"private")
    stage_bundle(stage.context().inputs, bundle)
    tables = sorted(path.name for path in bundle.rglob("*.parquet"))
    assert tables == ["ad_versions.parquet", "ads.parquet", "sid_map.parquet"]


def test_lineage_names_manifest_content_and_origin_of_every_input(stage):
    inputs = stage.context().inputs
    found = lineage(inputs)
    assert found.keys() == inputs.keys()
    folder = inputs["tokenizer"]
    assert found["tokenizer"] == {
        "manifest_sha256": hash_file(folder / "manifest.json"),
        "content_sha256": content_hash(folder),
        "origin": read_json(folder / "manifest.json")["origin"],
    }


def test_who_thinks_is_part_of_a_bundle_where_somebody_does(stage):
    inputs, bundle = stage.context().inputs, stage.root / "bundle"
    write_json(inputs["corpus"] / "thoughts.json", {"provider": "template"})
    write_json(inputs["corpus"] / "manifest.json", {"origin": {}, "providers": {"template": 3}})
    stage_bundle(inputs, bundle)
    assert read_json(bundle / "corpus_stats" / "thoughts.json") == {"provider": "template"}
    assert lineage(inputs)["corpus"]["providers"] == {"template": 3}
