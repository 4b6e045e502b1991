from pathlib import Path

import pytest

from components.runtime.context import StepContext, StepResult
from components.vaft import main
from components.vaft.spec import SPEC
from gpr_core.models.checkpoint import (
    CheckpointMeta,
    load_checkpoint,
    read_checkpoint_meta,
    save_checkpoint,
)
from gpr_core.models.gpr import GPR
from gpr_core.support.errors import ArtifactError
from gpr_core.support.hashing import hash_file, hash_files
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.sequence_file import load_sequence, save_sequence
from tests.gpr_core.training.small_corpus import (
    CODEBOOK_SIZES,
    make_small_corpus,
    write_small_corpus,
)
from tests.gpr_core.training.steps import MTP, VAFT, make_context


def make_inputs(root: Path, *, tokenizer: str = "test") -> dict[str, Path]:
    folders = write_small_corpus(root, make_small_corpus())
    seed_global_torch(0, "parent")
    model = GPR(MTP.model, CODEBOOK_SIZES)
    meta = CheckpointMeta(tokenizer_version=tokenizer, catalog_version="c", parent=None)
    save_checkpoint(root / "mtp_checkpoint", model, meta)
    save_sequence(root / "mtp_checkpoint", MTP.sequence)
    return {**folders, "mtp_checkpoint": root / "mtp_checkpoint"}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> StepContext[main.VaftConfig]:
    inputs = make_inputs(tmp_path_factory.mktemp("inputs"))
    return make_context(tmp_path_factory.mktemp("run"), inputs, "vaft_checkpoint", VAFT)


@pytest.fixture(scope="module")
def result(context: StepContext[main.VaftConfig]) -> StepResult:
    return main.run(context)


def test_all_gates_of_the_spec_are_measured_and_pass(result: StepResult) -> None:
    assert {gate.name for gate in result.gates} == set(SPEC.gates)
    assert [gate.message for gate in result.gates if not gate.passed] == []


def test_the_checkpoint_names_its_parent_and_keeps_its_sequences(
    context: StepContext[main.VaftConfig], result: StepResult
) -> None:
    folder, parent = context.outputs["vaft_checkpoint"], context.inputs["mtp_checkpoint"]
    assert read_checkpoint_meta(folder).parent == hash_file(parent / "weights.safetensors")
    assert load_sequence(folder) == MTP.sequence
    before = load_checkpoint(parent, tokenizer_version="test")
    after = load_checkpoint(folder, tokenizer_version="test")
    assert (before.codes.table_VE != after.codes.table_VE).any()
    assert before.value_std == after.value_std
    assert [path.name for path in context.plots.iterdir()] == list(SPEC.plots)


def test_training_improves_on_an_untrained_parent(result: StepResult) -> None:
    assert result.metrics["gate_nll"] < result.metrics["gate_nll_before"]
    assert result.metrics["mean_weight_click"] > result.metrics["mean_weight_impression"]


def test_the_same_inputs_give_the_same_bytes(
    tmp_path: Path, context: StepContext[main.VaftConfig], result: StepResult
) -> None:
    again = make_context(tmp_path, context.inputs, "vaft_checkpoint", VAFT)
    assert main.run(again).metrics == result.metrics
    folder = context.outputs["vaft_checkpoint"]
    assert hash_files(again.outputs["vaft_checkpoint"]) == hash_files(folder)


def test_a_checkpoint_of_another_tokenizer_is_refused(tmp_path: Path) -> None:
    inputs = make_inputs(tmp_path / "inputs", tokenizer="older")
    context = make_context(tmp_path / "run", inputs, "vaft_checkpoint", VAFT)
    with pytest.raises(ArtifactError, match="the checkpoint speaks tokenizer older"):
        main.run(context)
