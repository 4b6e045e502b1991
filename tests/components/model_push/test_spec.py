from pathlib import Path

from components.model_push.spec import SPEC

ROOT = Path(__file__).resolve().parents[3]


def test_a_receipt_is_never_replayed_from_a_cache():
    assert [(artifact.name, artifact.cached) for artifact in SPEC.outputs] == [("push", False)]


def test_every_code_path_exists():
    assert [path for path in SPEC.code if not (ROOT / path).exists()] == []


def test_the_step_sees_the_verdict_and_everything_it_serves():
    wanted = {"evaluation", "hepo_checkpoint", "tokenizer", "catalog", "corpus"}
    assert set(SPEC.inputs) == wanted
