from dataclasses import replace
from datetime import date

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.corpus_curation import main
from components.corpus_curation.spec import SPEC
from components.runtime.context import StepContext
from components.runtime.model_store import SERVED_FOLDERS, ModelStore, seal_bundle
from gpr_core.data.config import CurationConfig
from gpr_core.data.days import day_end_ms
from gpr_core.data.fusion import FusionStats
from gpr_core.objectives.value_weights import ValueWeightConstants
from gpr_core.support.errors import ArtifactError, ContractError
from gpr_core.support.files import read_json, write_json
from gpr_core.support.hashing import hash_files
from gpr_core.support.progress import Progress
from tests.lake_rows import land, make_random_lake, make_small_lake
from tests.unchecked_lake import accept_any_lake

DAY = date(2026, 1, 3)
CONFIG = CurationConfig(window_days=9, num_price_buckets=4, num_dwell_buckets=4)


@pytest.fixture(scope="module", autouse=True)
def _random_rows_keep_no_contract():
    """Contracts have their own tests; here the tables are drawn at random."""
    with pytest.MonkeyPatch.context() as patch:
        accept_any_lake(patch, main)
        yield


def make_context(root, lake, *, day=DAY, seed=0):
    """Build a context with fresh folders."""
    for name in ("corpus", "plots"):
        (root / name).mkdir(parents=True)
    return StepContext(
        day=day,
        cutoff_ts=day_end_ms(day),
        seed=seed,
        threads=1,
        device="cpu",
        params=CONFIG,
        inputs={},
        outputs={"corpus": root / "corpus"},
        scratch=root / "scratch",
        plots=root / "plots",
        reports=root / "reports",
        lake=lake,
        oracle=root / "oracle",
        registry=root / "registry",
        champion=None,
        progress=Progress("corpus_curation"),
    )


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    root = tmp_path_factory.mktemp("lake") / "lake"
    land(root, make_random_lake(1), 5)
    return root


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, lake):
    context = make_context(tmp_path_factory.mktemp("corpus"), lake)
    return main.run(context), context


def test_all_gates_of_the_spec_are_measured_and_pass(corpus):
    result, _ = corpus
    assert [gate.name for gate in result.gates] == list(SPEC.gates)
    assert all(gate.passed for gate in result.gates)
    assert all(np.isfinite(value) for value in result.metrics.values())


def test_every_file_of_the_artifact_is_there(corpus):
    [artifact] = SPEC.outputs
    others = {"buckets.json", "curation.json", "embedding_stats.json", "split.json"}
    _, context = corpus
    written = {path.name for path in context.outputs["corpus"].iterdir()}
    tables = set(artifact.contracts) - set(artifact.optional)
    assert written == tables | others | {"value_weights.json"}


def test_the_numbers_agree_with_the_tables(corpus):
    result, context = corpus
    folder = context.outputs["corpus"]
    decisions = pq.read_table(folder / "decisions.parquet")
    weights = pq.read_table(folder / "value_weights.parquet")
    assert result.metrics["num_decisions"] == decisions.num_rows == weights.num_rows
    assert weights["request_key"].equals(decisions["request_key"])
    assert weights["omega"].to_numpy().mean(dtype=np.float64) == pytest.approx(1, abs=1e-6)
    constants = ValueWeightConstants.load(folder / "value_weights.json")
    assert constants.reference_ecpm == np.median(decisions["ecpm"].to_numpy())
    described = read_json(folder / "split.json")
    assert described["rows"]["decisions"] == decisions.num_rows
    assert described["max_ingest_ts"] < described["t1"] == context.cutoff_ts
    days = (context.plots / "days.csv").read_text().splitlines()
    assert days[0] == "day,decisions,clicks,conversions"
    assert sum(int(row.split(",")[1]) for row in days[1:]) == decisions.num_rows


def test_users_with_one_request_give_no_decision(corpus):
    _, context = corpus
    user = pq.read_table(context.outputs["corpus"] / "decisions.parquet")["user_key"]
    assert min(entry["counts"] for entry in user.value_counts().to_pylist()) >= 2


def test_the_same_lake_gives_the_same_bytes(tmp_path, lake, corpus):
    _, context = corpus
    again = make_context(tmp_path, lake)
    main.run(again)
    assert hash_files(again.outputs["corpus"]) == hash_files(context.outputs["corpus"])
    assert hash_files(again.plots) == hash_files(context.plots)


def test_another_seed_changes_the_split_alone(tmp_path, lake, corpus):
    _, context = corpus
    other = make_context(tmp_path / "other", lake, seed=1)
    main.run(other)
    ours, theirs = (hash_files(c.outputs["corpus"]) for c in (context, other))
    changed = {name for name, digest in ours.items() if theirs[name] != digest}
    assert changed == {
        "embedding_stats.json",
        "item_vectors.parquet",
        "tokenizer_sample.parquet",
    }


def test_a_champion_keeps_its_embedding_statistics(tmp_path, lake, corpus):
    store = ModelStore(tmp_path / "registry")
    bundle = tmp_path / "bundle"
    for name in SERVED_FOLDERS:
        write_json(bundle / name / "data.json", {"of": name})
    write_json(bundle / "verdict.json", {"promote": True})
    stats = FusionStats.load(corpus[1].outputs["corpus"] / "embedding_stats.json")
    kept = replace(stats, mean_D=stats.mean_D + 0.25)
    kept.save(bundle / "tokenizer" / "embedding_stats.json")
    version = seal_bundle(bundle, date(2026, 1, 2))
    store.publish(bundle, version)
    context = replace(
        make_context(tmp_path, lake), champion=version, registry=tmp_path / "registry"
    )
    main.run(context)
    found = FusionStats.load(context.outputs["corpus"] / "embedding_stats.json")
    assert np.array_equal(found.mean_D, kept.mean_D)


def test_an_empty_lake_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="the lake is empty"):
        main.run(make_context(tmp_path, tmp_path / "nowhere"))


def test_a_lake_without_impressions_is_refused(tmp_path):
    tables = make_small_lake(requests=[], impressions=[], ad_events=[])
    land(tmp_path / "lake", tables, 3)
    with pytest.raises(ContractError, match="no impression to fit price buckets on"):
        main.run(make_context(tmp_path, tmp_path / "lake"))
