from components.simulator_snapshot.spec import SPEC


def test_gates_and_contracts_are_those_of_the_agreement():
    assert set(SPEC.gates) == {"ranker_calibration", "ranker_auc", "replay_bit_exact"}
    assert SPEC.inputs == ("corpus", "tokenizer", "catalog", "vaft_checkpoint")
    [snapshot] = SPEC.outputs
    assert snapshot.contracts == {
        "requests.parquet": "snapshot_requests",
        "timelines.parquet": "timelines",
        "thoughts.parquet": "thoughts",
        "impressions.parquet": "snapshot_impressions",
        "ad_events.parquet": "snapshot_ad_events",
        "catalog/ads.parquet": "catalog_ads",
        "catalog/ad_versions.parquet": "ad_versions",
    }
    assert snapshot.optional == ("thoughts.parquet",)


def test_result_does_not_depend_on_the_world():
    assert not any("world" in path for path in SPEC.code)
