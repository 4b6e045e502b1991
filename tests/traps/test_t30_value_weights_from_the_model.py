"""T30: VAFT weights that follow the model in training, or that are not clipped."""

from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from components.corpus_curation.spec import SPEC as CURATION
from components.vaft import main as vaft
from components.vaft.spec import SPEC as VAFT
from gpr_core.models.checkpoint import CheckpointMeta, save_checkpoint
from gpr_core.models.gpr import GPR
from gpr_core.objectives.value_weights import (
    LoggedValue,
    ValueWeightRule,
    fit_value_weights,
    value_weights,
)
from gpr_core.support.seeding import numpy_stream, seed_global_torch, torch_stream
from gpr_core.training import stages, supervised
from gpr_core.training.sequence_file import save_sequence
from tests.gpr_core.training import steps
from tests.gpr_core.training.small_corpus import (
    CODEBOOK_SIZES,
    make_small_corpus,
    write_small_corpus,
)

RULE = ValueWeightRule()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Artifacts of the small corpus and a pre-trained checkpoint."""
    root = tmp_path_factory.mktemp("t30")
    folders = write_small_corpus(root, make_small_corpus())
    seed_global_torch(0, "t30")
    meta = CheckpointMeta(tokenizer_version="test", catalog_version="c", parent=None)
    save_checkpoint(root / "mtp_checkpoint", GPR(steps.MTP.model, CODEBOOK_SIZES), meta)
    save_sequence(root / "mtp_checkpoint", steps.MTP.sequence)
    return {**folders, "mtp_checkpoint": root / "mtp_checkpoint"}


@pytest.fixture(scope="module")
def corrupted(inputs, tmp_path_factory):
    """The same artifacts, but the value heads of the checkpoint say something else."""
    folder = tmp_path_factory.mktemp("corrupted") / "mtp_checkpoint"
    folder.mkdir()
    for path in inputs["mtp_checkpoint"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    path = folder / "weights.safetensors"
    tensors = safetensors.torch.load_file(path)
    draw = torch_stream(0, "t30 corrupted")
    for name, tensor in tensors.items():
        if name.startswith("hte."):
            tensor.add_(torch.randn(tensor.shape, generator=draw))
    safetensors.torch.save_file(tensors, path)
    return {**inputs, "mtp_checkpoint": folder}


def trained_with(inputs, root, monkeypatch):
    """Run the step `vaft` and collect the weights of every update; None where it used none."""
    seen = []
    honest = supervised.code_loss

    def remember(logp_MJL, ok_MJ, head_weights_J, omega_MJ, total):
        seen.append(None if omega_MJ is None else omega_MJ.clone())
        return honest(logp_MJL, ok_MJ, head_weights_J, omega_MJ, total)

    monkeypatch.setattr(supervised, "code_loss", remember)
    vaft.run(steps.make_context(root, inputs, "vaft_checkpoint", steps.VAFT))
    monkeypatch.setattr(supervised, "code_loss", honest)
    return seen


def stands_still(one, two):
    """The check of this trap: whether two trainings weighed every target of every update alike."""
    assert len(one) == len(two)
    assert any(omega is not None for omega in one)
    return all(
        first is second is None or torch.equal(first, second)
        for first, second in zip(one, two, strict=True)
    )


def weigh_by_the_value_heads(model, batch, config, part_config, *, use_omega, matcher, totals):
    """The broken twin: the click probability of the model in training is the denominator."""
    rows_M = torch.arange(len(batch.ts_M))
    with torch.no_grad():
        values = model.item_values(
            model.read(batch.timeline), rows_M, batch.path_MJL[:, 0], batch.ad_feature_MF
        )
    moving = batch._replace(omega_MJ=batch.omega_MJ / values.p_ctr_N[:, None])
    return supervised.supervised_loss(model, moving, config, part_config, use_omega=use_omega)


def test_corrupting_the_value_heads_leaves_the_weights_of_every_update_identical(
    inputs, corrupted, tmp_path, monkeypatch
):
    before = trained_with(inputs, tmp_path / "before", monkeypatch)
    assert stands_still(before, trained_with(corrupted, tmp_path / "after", monkeypatch))


def test_weights_of_the_model_in_training_are_caught(inputs, corrupted, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "supervised_loss", weigh_by_the_value_heads)
    before = trained_with(inputs, tmp_path / "before", monkeypatch)
    assert not stands_still(before, trained_with(corrupted, tmp_path / "after", monkeypatch))


def test_the_weights_are_an_input_of_the_step_made_before_any_model_exists():
    assert CURATION.inputs == ()
    assert "value_weights.parquet" in CURATION.outputs[0].contracts
    assert "corpus" in VAFT.inputs


def make_log(num=4000):
    """Draw a log with the predictions of the ranker that served, and two extreme bids."""
    draw = numpy_stream(0, "t30")
    p_ctr, p_cvr = draw.beta(2, 60, num), draw.beta(2, 20, num)
    is_click = draw.random(num) < p_ctr
    action = is_click.astype(np.int8) + (is_click & (draw.random(num) < 0.3))
    bid_type = draw.integers(0, 3, num).astype(np.int8)
    ecpm = 1000 * p_ctr * draw.lognormal(0, 0.8, num)
    ecpm[:2] = 1e-6, 1e30
    return LoggedValue(action, bid_type, ecpm, p_ctr, p_cvr)


def clipped(log):
    """Weigh as the project does."""
    return value_weights(log, fit_value_weights(log, RULE))


def unclipped(log):
    """The broken twin: the same weights without bounds."""
    rule = replace(RULE, clip_low=0.0, clip_high=np.inf)
    return value_weights(log, fit_value_weights(log, rule))


def is_bounded(weigh):
    """Say whether no decision outweighs another by more than the rule allows."""
    omega_B = weigh(make_log())
    return omega_B.max() <= omega_B.min() * RULE.clip_high / RULE.clip_low * (1 + 1e-9)


def test_no_decision_outweighs_another_by_more_than_the_clip_allows():
    assert is_bounded(clipped)


def test_weights_that_are_not_clipped_are_caught():
    assert not is_bounded(unclipped)
