import logging
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.mtp_pretrain import main
from components.mtp_pretrain.spec import SPEC
from components.runtime.context import StepContext, StepResult
from gpr_core.models.checkpoint import load_checkpoint, read_checkpoint_meta
from gpr_core.support.hashing import hash_files
from gpr_core.training.sequence_file import load_sequence
from tests.gpr_core.training.small_corpus import make_small_corpus, write_small_corpus
from tests.gpr_core.training.steps import MTP, make_context


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_small_corpus(tmp_path_factory.mktemp("inputs"), make_small_corpus(alternates=True))


@pytest.fixture(scope="module")
def context(
    tmp_path_factory: pytest.TempPathFactory, inputs: dict[str, Path]
) -> StepContext[main.MtpConfig]:
    return make_context(tmp_path_factory.mktemp("run"), inputs, "mtp_checkpoint", MTP)


@pytest.fixture(scope="module")
def result(context: StepContext[main.MtpConfig]) -> StepResult:
    return main.run(context)


def test_all_gates_of_the_spec_are_measured_and_pass(result: StepResult) -> None:
    assert {gate.name for gate in result.gates} == set(SPEC.gates)
    assert [gate.message for gate in result.gates if not gate.passed] == []


def test_the_checkpoint_says_what_it_belongs_to(
    context: StepContext[main.MtpConfig], result: StepResult
) -> None:
    folder = context.outputs["mtp_checkpoint"]
    meta = read_checkpoint_meta(folder)
    assert meta.tokenizer_version == "test"
    assert meta.parent is None
    model = load_checkpoint(folder, tokenizer_version="test")
    assert model.config == MTP.model
    assert load_sequence(folder) == MTP.sequence
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.json",
        "config.json",
        "curve.parquet",
        "sequence.json",
        "weights.safetensors",
    ]


def test_curve_plot_and_metrics_cover_all_updates(
    context: StepContext[main.MtpConfig], result: StepResult
) -> None:
    curve = pq.read_table(context.outputs["mtp_checkpoint"] / "curve.parquet")
    assert curve.num_rows == result.metrics["updates"]
    lines = (context.plots / "curve.csv").read_text().splitlines()
    assert len(lines) == curve.num_rows + 1
    assert [path.name for path in context.plots.iterdir()] == list(SPEC.plots)
    assert result.metrics["started_from_champion"] == 0.0
    assert result.metrics["leak_probe"] == 0.0
    assert result.metrics["gate_nll"] < result.metrics["gate_popularity_nll"]
    assert result.metrics["target_share_head_1"] == 1.0


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, inputs: dict[str, Path]) -> None:
    short = replace(MTP, epochs=1)
    one, two = (
        make_context(tmp_path / name, inputs, "mtp_checkpoint", short) for name in ("one", "two")
    )
    assert main.run(one).metrics == main.run(two).metrics
    folders = [context.outputs["mtp_checkpoint"] for context in (one, two)]
    assert hash_files(folders[0]) == hash_files(folders[1])


def test_thoughts_that_the_model_does_not_read_are_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        main._check_knowledge(MTP, has_thoughts=False)
    assert caplog.text == ""
    with caplog.at_level(logging.WARNING):
        main._check_knowledge(MTP, has_thoughts=True)
    assert "the corpus has thoughts that this model does not read" in caplog.text
