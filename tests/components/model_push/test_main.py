import subprocess
from datetime import date

import pytest

from components.model_push import main
from components.model_push.spec import SPEC
from components.runtime.model_store import ModelStore
from gpr_core.support.errors import GateError
from gpr_core.support.files import read_json, write_json

GOOD = {
    "requests": 5,
    "servable": 5,
    "answered": 5,
    "illegal": 0,
    "repeated": 0,
    "latency_p95_ms": 12.0,
}


@pytest.fixture
def quick_smoke(monkeypatch):
    """Answer for the fresh process, whose own tests are in test_smoke."""
    answer = dict(GOOD)
    monkeypatch.setattr(main, "_run_smoke", lambda *_: main._smoke_problems(answer, *_[1:]))
    return answer


def failed(result):
    return [gate.name for gate in result.gates if not gate.passed]


def tree_of(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_an_accepted_policy_becomes_the_champion_and_the_receipt_says_so(stage):
    result = main.run(stage.context())
    assert {gate.name for gate in result.gates} == SPEC.gates.keys()
    assert failed(result) == []
    # Times differ from run to run: they go to the unversioned reports, not into a gate.
    assert read_json(stage.root / "reports" / "smoke.json")["latency_p95_ms"] > 0
    assert "ms" not in result.gates[2].message.split()
    store = ModelStore(stage.registry)
    version = store.champion()
    store.verify(version)
    receipt = stage.receipt()
    assert (receipt["version"], receipt["alias"], receipt["previous"]) == (
        version,
        "champion",
        None,
    )
    assert receipt["verdict"]["promote"]
    folder = store.path(version)
    assert version in (folder / "model_card.md").read_text()
    assert sorted(path.name for path in folder.iterdir()) == [
        "MANIFEST.json",
        "catalog",
        "corpus_stats",
        "lineage.json",
        "model_card.md",
        "policy",
        "tokenizer",
        "verdict.json",
    ]


def test_a_retry_changes_nothing(stage, quick_smoke):
    main.run(stage.context())
    before, receipt = tree_of(stage.registry), stage.receipt()
    main.run(stage.context())
    assert tree_of(stage.registry) == before
    assert stage.receipt() == receipt


def test_a_refused_verdict_writes_nothing_to_the_registry(stage, quick_smoke):
    stage.verdict(promote=False, reasons=["HR@10 is not surely above the floor"])
    result = main.run(stage.context())
    assert failed(result) == ["verdict_allows"]
    assert "HR@10 is not surely above the floor" in result.gates[0].message
    assert not stage.registry.exists()
    assert stage.receipt() is None


@pytest.mark.parametrize("changed", ["hepo_checkpoint", "tokenizer", "catalog"])
def test_a_verdict_for_other_bytes_is_refused(stage, quick_smoke, changed):
    (stage.root / "inputs" / changed / "extra.txt").write_text("other bytes")
    result = main.run(stage.context())
    assert failed(result) == ["verdict_is_of_these_bytes"]
    assert changed in result.gates[1].message
    assert not stage.registry.exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answered": 4}, "4 of 5 servable requests answered"),
        ({"servable": 0, "answered": 0}, "0 of 0 servable"),
        ({"illegal": 2}, "2 illegal ads"),
        ({"repeated": 1}, "1 repeated ads"),
        ({"latency_p95_ms": 90_000.0}, "the budget is 60000 ms"),
    ],
)
def test_a_failed_smoke_test_is_refused(stage, quick_smoke, change, message):
    quick_smoke.update(change)
    result = main.run(stage.context())
    assert failed(result) == ["smoke_test"]
    assert message in result.gates[2].message
    assert not stage.registry.exists()


def test_a_bundle_that_does_not_load_is_refused_with_the_reason(stage):
    path = stage.root / "inputs" / "hepo_checkpoint" / "checkpoint.json"
    write_json(path, {**read_json(path), "tokenizer_version": "other"})
    stage.verdict()
    result = main.run(stage.context())
    assert failed(result) == ["smoke_test"]
    assert "ended with code 1" in result.gates[2].message


def test_a_process_that_hangs_is_refused(stage, monkeypatch):
    def hang(command, *, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", hang)
    result = main.run(stage.context(smoke_timeout_s=3.0))
    assert "gave no answer within 3 s" in result.gates[2].message
    assert not stage.registry.exists()


def test_a_verdict_against_another_champion_is_refused(stage, quick_smoke):
    main.run(stage.context())
    first = ModelStore(stage.registry).champion()
    later = date(2026, 3, 2)
    result = main.run(stage.context(day=later))
    assert failed(result) == ["verdict_allows"]
    assert f"compared with champion None, but {first} serves" in result.gates[0].message
    stage.verdict(champion=first)
    assert failed(main.run(stage.context(day=later))) == []
    assert stage.receipt()["previous"] == first


def test_a_day_that_is_caught_up_on_does_not_replace_a_later_model(stage, quick_smoke):
    main.run(stage.context(day=date(2026, 3, 2)))
    later = ModelStore(stage.registry).champion()
    result = main.run(stage.context())
    assert failed(result) == ["verdict_allows"]
    assert f"{later}, which serves, is of a later day than 2026-03-01" in result.gates[0].message
    assert ModelStore(stage.registry).champion() == later


def test_the_same_day_may_be_pushed_again_with_other_bytes(stage, quick_smoke):
    main.run(stage.context())
    first = ModelStore(stage.registry).champion()
    (stage.root / "inputs" / "hepo_checkpoint" / "note.txt").write_text("retrained")
    stage.verdict()
    assert failed(main.run(stage.context())) == []
    assert ModelStore(stage.registry).champion() != first


def test_a_version_that_was_rolled_back_is_not_pushed_again(stage, quick_smoke):
    main.run(stage.context())
    store = ModelStore(stage.registry)
    first = store.champion()
    stage.verdict(champion=first)
    main.run(stage.context(day=date(2026, 3, 2)))
    store.rollback()
    with pytest.raises(GateError, match="was rolled back"):
        main.run(stage.context(day=date(2026, 3, 2)))
    assert store.champion() == first
