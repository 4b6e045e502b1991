import csv
import shutil
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.evaluation import day as evaluation_day
from components.evaluation import main
from components.evaluation.spec import SPEC
from components.runtime.model_store import (
    SERVED_FOLDERS,
    ModelStore,
    content_hash,
    seal_bundle,
)
from gpr_core.data.tables import DAY_MS
from gpr_core.support.errors import ArtifactError
from gpr_core.support.files import read_json
from gpr_core.support.hashing import hash_file, hash_files
from tests.mini_day import CUTOFF, DAY, PARAMS
from tests.unchecked_lake import accept_any_lake


@pytest.fixture(scope="module", autouse=True)
def _contracts_are_tested_elsewhere():
    """The drawn lake keeps no contract; what is refused is the business of `lake_inputs`."""
    with pytest.MonkeyPatch.context() as patch:
        accept_any_lake(patch, evaluation_day)
        yield


@pytest.fixture(scope="module")
def judged(mini_day, tmp_path_factory):
    """Run the step once."""
    context = mini_day.context(tmp_path_factory.mktemp("judged"))
    return context, main.run(context)


def folder_of(context):
    return context.outputs["evaluation"]


def push_as_champion(mini_day, root):
    """Publish the mini day's MTP checkpoint as the champion of an earlier day."""
    bundle = root / "bundle"
    sources = ("mtp_checkpoint", "tokenizer", "catalog", "catalog")
    for name, source in zip(SERVED_FOLDERS, sources, strict=True):
        shutil.copytree(mini_day.root / source, bundle / name)
    version = seal_bundle(bundle, DAY)
    ModelStore(root).publish(bundle, version)
    return version


def test_every_gate_is_measured_and_holds(judged):
    _, result = judged
    assert [gate.name for gate in result.gates] == list(SPEC.gates)
    assert [gate.name for gate in result.gates if not gate.passed] == []


def test_all_files_of_the_artifact_are_written(judged):
    context, _ = judged
    names = sorted(hash_files(folder_of(context)))
    assert names == [
        "metrics.json",
        "per_request.parquet",
        "report.html",
        "tables/differences.csv",
        "tables/retrieval.csv",
        "tables/value.csv",
        "verdict.json",
    ]
    assert [path.name for path in context.plots.iterdir()] == list(SPEC.plots)


def test_verdict_is_bound_to_the_bytes_it_judged(judged, mini_day):
    context, _ = judged
    verdict = read_json(folder_of(context) / "verdict.json")
    assert verdict["policy_hash"] == content_hash(mini_day.inputs["hepo_checkpoint"])
    assert verdict["tokenizer_hash"] == content_hash(mini_day.inputs["tokenizer"])
    assert verdict["catalog_hash"] == content_hash(mini_day.inputs["catalog"])
    assert verdict["report_hash"] == hash_file(folder_of(context) / "report.html")
    assert verdict["champion"] is None
    assert (verdict["day"], verdict["evaluation_day"]) == ("2026-01-03", "2026-01-04")


def test_an_untrained_policy_is_published_but_not_promoted(judged):
    context, result = judged
    verdict = read_json(folder_of(context) / "verdict.json")
    assert verdict["promote"] is False
    assert result.metrics["promote"] == 0.0
    assert any("not surely above the popularity floor" in why for why in verdict["reasons"])
    assert "do not promote" in (folder_of(context) / "report.html").read_text()


def test_policies_and_floors_are_in_one_table(judged):
    context, _ = judged
    with (folder_of(context) / "tables" / "retrieval.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    methods = list(dict.fromkeys(row["method"] for row in rows))
    assert methods == [
        "hepo",
        "vaft",
        "mtp",
        "popularity",
        "transitions",
        "repeat_last",
        "item_knn",
    ]
    assert {row["metric"] for row in rows} == {
        f"{name}@{k}" for name in ("HR_ad", "HR_path", "no_repeat_HR_ad") for k in (1, 10)
    }


def test_metrics_are_the_means_of_the_rows_per_request(judged):
    context, result = judged
    rows = pq.read_table(folder_of(context) / "per_request.parquet")
    metrics = read_json(folder_of(context) / "metrics.json")
    for name in ("hepo/HR_ad@10", "popularity/no_repeat_HR_ad@10", "vaft/ndcg"):
        column = rows[name].drop_null().to_numpy()
        assert metrics[name]["value"] == pytest.approx(column.mean())
        assert metrics[name]["n"] == column.size
        assert result.metrics[name] == metrics[name]["value"]


def test_only_real_requests_of_the_next_day_are_judged(judged):
    context, _ = judged
    rows = pq.read_table(folder_of(context) / "per_request.parquet")
    ts = rows["ts"].to_numpy()
    assert ((ts >= CUTOFF) & (ts < CUTOFF + DAY_MS)).all()
    assert not rows["is_synthetic"].to_numpy(zero_copy_only=False).any()
    assert np.unique(rows["request_key"].to_numpy()).size == rows.num_rows


def test_the_report_names_the_truth_only_where_there_is_one(judged):
    context, _ = judged
    html = (folder_of(context) / "report.html").read_text()
    assert "ground truth of the synthetic world" not in html
    assert "a_gate" in html


def test_the_report_looks_into_one_decode(judged, mini_day):
    context, _ = judged
    html = (folder_of(context) / "report.html").read_text()
    first = mini_day.prepare().column("request_key")[0]
    assert f"Request {first}, for which" in html


def test_a_rerun_gives_the_same_bytes(judged, mini_day, tmp_path):
    context, result = judged
    again = mini_day.context(tmp_path)
    assert main.run(again).metrics == result.metrics
    assert hash_files(folder_of(again)) == hash_files(folder_of(context))


def test_a_champion_is_compared_pair_by_pair(mini_day, tmp_path):
    version = push_as_champion(mini_day, tmp_path / "registry")
    context = replace(mini_day.context(tmp_path, champion=version), registry=tmp_path / "registry")
    result = main.run(context)
    verdict = read_json(folder_of(context) / "verdict.json")
    names = [rule["name"] for rule in verdict["rules"]]
    assert verdict["champion"] == version
    assert names[:4] == [
        "legal",
        "beats_popularity",
        "hit_rate_not_worse",
        "final_value_not_worse",
    ]
    # The champion is the MTP checkpoint here, so both must measure the same.
    assert result.metrics["champion/HR_ad@10"] == result.metrics["mtp/HR_ad@10"]
    assert result.metrics["champion/final_value_mean"] == result.metrics["mtp/final_value_mean"]


def test_a_champion_with_another_tokenizer_is_judged_in_its_own_ids(mini_day, tmp_path):
    """The same tokenizer, but its ids are read from the champion's own folder."""
    registry = tmp_path / "registry"
    push_as_champion(mini_day, registry)
    bundle = registry / "bundle"
    (bundle / "MANIFEST.json").unlink()
    path = bundle / "tokenizer" / "sid_map.parquet"
    pq.write_table(pq.read_table(path), path, compression="none")
    version = seal_bundle(bundle, DAY)
    ModelStore(registry).publish(bundle, version)
    context = replace(mini_day.context(tmp_path, champion=version), registry=registry)
    result = main.run(context)
    assert result.metrics["champion/HR_ad@10"] == result.metrics["mtp/HR_ad@10"]
    assert result.metrics["champion/ndcg"] == result.metrics["mtp/ndcg"]


def test_a_damaged_champion_is_refused(mini_day, tmp_path):
    version = push_as_champion(mini_day, tmp_path / "registry")
    (ModelStore(tmp_path / "registry").path(version) / "policy" / "extra").write_text("x")
    context = replace(mini_day.context(tmp_path, champion=version), registry=tmp_path / "registry")
    with pytest.raises(ArtifactError, match="do not match its manifest"):
        main.run(context)


def test_gates_fail_on_illegal_ads_and_on_ineligible_truths(mini_day):
    day = mini_day.prepare()
    day = replace(day, eligible_BA=np.zeros_like(day.eligible_BA))
    gates = {gate.name: gate for gate in main._gates(PARAMS, day, {"hepo": 3})}
    assert (gates["no_illegal_ad"].passed, gates["no_illegal_ad"].value) == (False, 3.0)
    assert (gates["truth_eligible"].passed, gates["truth_eligible"].value) == (False, 0.0)
    assert gates["enough_requests"].passed


def test_a_rehearsed_request_fails_its_gate(mini_day):
    day = mini_day.prepare()
    place = day.requests.schema.get_field_index("is_synthetic")
    flags = np.arange(day.requests.num_rows) == 0
    day = replace(day, requests=day.requests.set_column(place, "is_synthetic", [flags]))
    gates = {gate.name: gate for gate in main._gates(PARAMS, day, {})}
    assert (gates["no_synthetic_rows"].passed, gates["no_synthetic_rows"].value) == (False, 1.0)
