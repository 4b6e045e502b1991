"""All steps on drawn days with a model that reads external knowledge."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch

from components.corpus_curation import main as curation
from components.evaluation import day as evaluation_day
from components.evaluation import main as evaluation
from components.hepo import main as hepo
from components.model_push import main as push
from components.model_push.bundle import stage_bundle
from components.mtp_pretrain import main as mtp
from components.runtime.model_store import ModelStore, seal_bundle
from components.simulator_snapshot import main as snapshot
from components.tokenization import main as tokenization
from components.vaft import main as vaft
from data_contracts.check import check_table
from gpr_core.data.config import ThoughtsConfig
from gpr_core.data.tables import DAY_MS
from gpr_core.evaluation.config import PromotionConfig
from gpr_core.features.thoughts import ThoughtIndex, read_thoughts
from gpr_core.features.timeline_store import TimelineStore
from gpr_core.knowledge import views
from gpr_core.models.checkpoint import load_checkpoint
from gpr_core.models.config import ModelConfig
from gpr_core.simulation.snapshot import load_snapshot
from gpr_core.support.errors import ConfigError, LeakageError
from gpr_core.support.files import read_json
from gpr_core.support.hashing import hash_files
from gpr_core.training.config import MtpConfig, OptimizerConfig, SequenceConfig, VaftConfig
from gpr_core.training.hepo_config import CriticConfig, HepoConfig
from gpr_core.training.inputs import load_inputs
from tests import mini_day
from tests.lake_rows import DAY_0, land, take_landed
from tests.mini_day import CUTOFF, NUM_DAYS, make_context, make_mini_lake, seal
from tests.thoughts import make_thoughts
from tests.unchecked_lake import accept_any_lake

CURATION = replace(mini_day._CURATION, min_requests=1, thoughts=ThoughtsConfig(provider="template"))
MODEL = ModelConfig(
    width=8, attention_heads=2, hsd_layers=1, ptd_layers=1, num_thoughts=2, num_heads=2,
    knowledge_vectors=2,
)  # fmt: skip
FAST = OptimizerConfig(batch_windows=8)
MTP = MtpConfig(
    model=MODEL,
    sequence=SequenceConfig(max_tokens=32, new_tokens=16, gate_user_share=0.5),
    optimizer=FAST,
)
VAFT = VaftConfig(optimizer=FAST)
HEPO = HepoConfig(
    iterations=1, num_candidates=4, batch_requests=8, holdout_share=0.4,
    critic=CriticConfig(min_r2=0.0, warmup_epochs=1, batch_candidates=64),
)  # fmt: skip
INPUTS = {
    "mtp_checkpoint": ("corpus", "tokenizer", "catalog"),
    "vaft_checkpoint": ("corpus", "tokenizer", "catalog", "mtp_checkpoint"),
    "snapshot": ("corpus", "tokenizer", "catalog", "vaft_checkpoint"),
    "hepo_checkpoint": ("corpus", "tokenizer", "catalog", "vaft_checkpoint", "snapshot"),
    "evaluation": mini_day.SPEC.inputs,
    "push": ("corpus", "tokenizer", "catalog", "hepo_checkpoint", "evaluation"),
}


def curate(root, tables=None, *, config=CURATION, cutoff_ts=CUTOFF):
    """Run the curation of day three on a lake; returns its result."""
    root.mkdir(exist_ok=True)
    if tables is not None:
        land(root / "lake", tables, NUM_DAYS)
    context = make_context(root, config, inputs={}, outputs=("corpus",))
    return curation.run(replace(context, cutoff_ts=cutoff_ts))


def step(root, module, params, *outputs):
    """Run one step on what the steps before it wrote."""
    inputs = {name: root / name for name in INPUTS[outputs[0]]}
    out = root / f"{outputs[0]}.out"
    out.mkdir()
    folders = {name: root / name for name in outputs}
    result = module.run(make_context(root, params, inputs=inputs, outputs=folders, out=out))
    for name in outputs:
        seal(root / name)
    return result


@pytest.fixture(scope="module", autouse=True)
def _random_rows_keep_no_contract():
    """Contracts have their own tests; here the tables are drawn at random."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (curation, evaluation_day):
            accept_any_lake(patch, module)
        yield


@pytest.fixture(scope="module")
def tables():
    return make_mini_lake()


@pytest.fixture(scope="module")
def day(tmp_path_factory, tables):
    """Folder and results of all steps."""
    root = tmp_path_factory.mktemp("day")
    results = {"corpus": curate(root, tables)}
    made = make_context(
        root, mini_day._TOKENIZATION, inputs={"corpus": root / "corpus"},
        outputs=("tokenizer", "catalog"),
    )  # fmt: skip
    tokenization.run(made)
    for name in ("corpus", "tokenizer", "catalog"):
        seal(root / name)
    step(root, mtp, MTP, "mtp_checkpoint")
    step(root, vaft, VAFT, "vaft_checkpoint")
    results["snapshot"] = step(
        root, snapshot, replace(mini_day._SNAPSHOT, num_requests=40), "snapshot"
    )
    step(root, hepo, HEPO, "hepo_checkpoint", "rollouts")
    results["evaluation"] = step(root, evaluation, mini_day.PARAMS, "evaluation")
    results["push"] = step(root, push, PromotionConfig(smoke_requests=4), "push")
    return SimpleNamespace(root=root, results=results, thoughts=read_thoughts(root / "corpus"))


def gate(result, name):
    """Find one gate of a result."""
    [found] = [gate for gate in result.gates if gate.name == name]
    return found


def load_policy(day):
    """The policy at the end of the day, and its inputs."""
    inputs = load_inputs(*(day.root / name for name in ("corpus", "tokenizer", "catalog")))
    version = inputs.tokenizer_version
    return load_checkpoint(day.root / "hepo_checkpoint", tokenizer_version=version), inputs


def test_a_day_runs_through(day):
    assert gate(day.results["snapshot"], "replay_bit_exact").passed
    assert gate(day.results["evaluation"], "no_illegal_ad").passed
    assert gate(day.results["push"], "smoke_test").passed
    assert load_policy(day)[0].knowledge is not None


def test_who_wrote_is_counted_where_thoughts_are_made(day):
    for name in ("corpus", "evaluation"):
        result = day.results[name]
        count = result.providers["template"]
        assert dict(result.providers) == {"template": count}
        assert result.metrics["thoughts/template"] == result.metrics["thoughts/all"] == count > 0
    report = (day.root / "evaluation" / "report.html").read_text()
    counts = [day.results[name].providers["template"] for name in ("corpus", "evaluation")]
    assert (
        f"External knowledge was written by template ({counts[0]}) in the training window and by "
        f"template ({counts[1]}) on the evaluation day."
    ) in report


def test_thoughts_keep_their_contract_and_speak_of_requests(day):
    users = pq.read_table(day.root / "corpus" / "users.parquet")
    outcome = check_table("thoughts", day.thoughts, references={"users": users})
    assert outcome.ok
    assert outcome.quarantine.num_rows == 0
    days = set(day.thoughts["as_of_ts"].to_pylist())
    # Nothing is known before the first day.
    assert days == {DAY_0 + DAY_MS, DAY_0 + 2 * DAY_MS}


def test_nothing_is_said_without_consent_on_the_day_and_now(day):
    versions = pq.read_table(day.root / "corpus" / "users.parquet").to_pylist()
    for row in day.thoughts.to_pylist():
        own = [version for version in versions if version["user_key"] == row["user_key"]]
        own.sort(key=lambda version: version["valid_from"])
        before = [version for version in own if version["valid_from"] <= row["as_of_ts"]]
        assert before[-1]["consent"] == own[-1]["consent"] == 1
    assert any(version["consent"] == 0 for version in versions)


def without_the_last_day(tables):
    """Take away what was done on the last training day; requests and profiles stay."""
    early = take_landed(tables, CUTOFF - DAY_MS)
    return tables | {name: early[name] for name in ("organic_events", "ad_events")}


def test_what_happens_on_the_last_day_changes_no_thought(day, tables, tmp_path):
    curate(tmp_path / "day", without_the_last_day(tables))
    assert read_thoughts(tmp_path / "day" / "corpus").equals(day.thoughts)


def test_the_check_finds_thoughts_that_know_their_own_day(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(views, "_is_before", lambda ts, _i, _a, first, last: ts[first:last] >= 0)
    said = []
    for name, rows in (("all", tables), ("early", without_the_last_day(tables))):
        with pytest.raises(LeakageError, match="were made from events at or after their time"):
            ThoughtIndex.from_table(thoughts_of(tmp_path / name, rows))
        said.append(read_thoughts(tmp_path / name / "corpus")["text"].to_pylist())
    assert said[0] != said[1]


def thoughts_of(root, tables):
    """Curate a lake and read its thoughts."""
    curate(root, tables)
    return read_thoughts(root / "corpus")


def test_off_leaves_no_trace(day, tables, tmp_path):
    result = curate(tmp_path / "off", tables, config=replace(CURATION, thoughts=ThoughtsConfig()))
    off, on = (hash_files(root / "corpus") for root in (tmp_path / "off", day.root))
    bookkeeping = {"manifest.json", "gate_report.json"}
    changed = {name for name in on if on[name] != off.get(name)} - bookkeeping
    assert changed == {"thoughts.parquet", "thoughts.json", "split.json"}
    assert off.keys() == on.keys() - bookkeeping - {"thoughts.parquet", "thoughts.json"}
    assert "thoughts" not in read_json(tmp_path / "off" / "corpus" / "curation.json")
    assert "thoughts" not in read_json(tmp_path / "off" / "corpus" / "split.json")["rows"]
    assert not any(name.startswith("thoughts") for name in result.metrics)
    assert not result.providers


def test_what_landed_in_the_lake_is_used(tables, day, tmp_path):
    row = day.thoughts.to_pylist()[0]
    landed = make_thoughts(
        (row["user_key"], row["as_of_ts"] // DAY_MS, [70_000]), text="category5", provider="big"
    )
    result = curate(tmp_path / "landed", tables | {"thoughts": landed})
    found = read_thoughts(tmp_path / "landed" / "corpus")
    assert dict(result.providers) == {"big": 1, "template": day.thoughts.num_rows - 1}
    assert found["text"].to_pylist()[0] == "category5"
    assert found.slice(1).equals(day.thoughts.slice(1))


def test_a_rehearsed_request_is_told_what_was_known_at_the_start_of_the_last_day(day):
    version = read_json(day.root / "tokenizer" / "tokenizer.json")["version"]
    frozen = load_snapshot(day.root / "snapshot", tokenizer_version=version)
    sid_map = pq.read_table(day.root / "tokenizer" / "sid_map.parquet")
    is_rehearsed = frozen.requests["is_synthetic"].to_numpy(zero_copy_only=False).astype(bool)
    keys = frozen.requests["request_key"].to_numpy()
    words_BRP = frozen.timeline_store(sid_map).prefix_batch(keys, 32).thought_BRP
    last_day = day.thoughts.filter(pc.equal(day.thoughts["as_of_ts"], CUTOFF - DAY_MS))
    known = np.isin(frozen.sequence_key_B, last_day["user_key"].to_numpy().astype(np.int64))
    is_told = words_BRP[:, 0].any(dim=1).numpy()
    assert known[is_rehearsed].any()
    assert (is_told == known)[is_rehearsed].all()


def test_the_thoughts_of_others_change_the_readouts(day):
    policy, inputs = load_policy(day)
    own, others = inputs.tables.thoughts, inputs.tables.thoughts
    turned = pa.array(np.roll(own["token_ids"].to_pandas().to_numpy(), 1), pa.list_(pa.int32()))
    others = others.set_column(others.schema.get_field_index("token_ids"), "token_ids", turned)
    stores = [
        TimelineStore.from_tables(
            inputs.tables.timelines, inputs.catalog.sid_map, 2, thoughts=thoughts
        )
        for thoughts in (own, own, others)
    ]
    keys = inputs.tables.decisions["request_key"].to_numpy()
    batches = [store.prefix_batch(keys, 32) for store in stores]
    with torch.no_grad():
        first, again, changed = (policy.read(batch).intent.intent_MD for batch in batches)
    is_told_M = batches[0].thought_BRP[:, 0].any(dim=1)
    is_changed_M = (first != changed).any(dim=1)
    assert torch.equal(first, again)
    assert is_changed_M.sum() > 0.5 * is_told_M.sum() > 0
    assert not is_changed_M[~is_told_M].any()


def test_a_model_that_reads_thoughts_needs_a_corpus_that_has_them(day, tmp_path):
    for name in ("corpus", "tokenizer", "catalog"):
        shutil.copytree(day.root / name, tmp_path / name)
    (tmp_path / "corpus" / "thoughts.parquet").unlink()
    with pytest.raises(ConfigError, match="knowledge_vectors is 2, but the corpus has no thoughts"):
        step(tmp_path, mtp, MTP, "mtp_checkpoint")


def test_no_step_can_forget_thoughts(day):
    policy, inputs = load_policy(day)
    store = TimelineStore.from_tables(inputs.tables.timelines, inputs.catalog.sid_map, 2)
    keys = inputs.tables.decisions["request_key"].to_numpy()[:2]
    with pytest.raises(ConfigError, match="its timelines were loaded without thoughts"):
        policy.read(store.prefix_batch(keys, 32))


def test_a_champion_reads_the_same_thoughts_in_its_own_ids(day, tmp_path):
    bundle = tmp_path / "bundle"
    stage_bundle({name: day.root / name for name in INPUTS["push"]}, bundle)
    settings = read_json(bundle / "corpus_stats" / "thoughts.json")
    assert settings == {"provider": "template", "url": "", "model": ""}
    # The same ids in other bytes: a store of its own is made for the champion.
    path = bundle / "tokenizer" / "sid_map.parquet"
    pq.write_table(pq.read_table(path), path, compression="none")
    version = seal_bundle(bundle, mini_day.DAY)
    ModelStore(tmp_path / "registry").publish(bundle, version)
    out = tmp_path / "out"
    out.mkdir()
    context = make_context(
        day.root,
        mini_day.PARAMS,
        inputs={name: day.root / name for name in INPUTS["evaluation"]},
        outputs={"evaluation": tmp_path / "evaluation"},
        out=out,
        champion=version,
    )
    found = evaluation.run(replace(context, registry=tmp_path / "registry")).metrics
    for metric in ("HR_ad@10", "ndcg", "final_value_mean"):
        assert found[f"champion/{metric}"] == found[f"hepo/{metric}"]
