from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from components.mtp_pretrain import gates
from components.runtime.context import GateResult
from gpr_core.features.targets import count_shared_codes
from gpr_core.models.gpr import GPR
from gpr_core.support.seeding import seed_global_torch
from gpr_core.training.examples import build_examples
from gpr_core.training.inputs import SupervisedInputs
from tests.gpr_core.training.small_corpus import (
    CODEBOOK_SIZES,
    CUTOFF_TS,
    make_small_corpus,
)
from tests.gpr_core.training.steps import MTP, make_context

CURVE = pa.table({"loss": [1.0]})


@pytest.fixture
def world(tmp_path):
    corpus = make_small_corpus()
    examples = build_examples(
        corpus.tables, corpus.catalog, MTP.sequence, num_heads=2, cutoff_ts=CUTOFF_TS, seed=0
    )
    seed_global_torch(0, "gates")
    model = GPR(MTP.model, CODEBOOK_SIZES).eval()
    inputs = SupervisedInputs(corpus.tables, corpus.catalog, "test", "test")
    return make_context(tmp_path, {}, "mtp_checkpoint", MTP), model, examples, inputs


def measure(world, curve: pa.Table = CURVE) -> dict[str, GateResult]:
    context, model, examples, inputs = world
    results, _ = gates.measure_gates(context, model, examples, inputs, curve)
    return {gate.name: gate for gate in results}


def test_a_loss_above_popularity_is_refused(world, monkeypatch: pytest.MonkeyPatch) -> None:
    score = gates.score_gate_requests

    def worse(*arguments: object, **options: object):
        scores = score(*arguments, **options)
        return scores._replace(nll_M=scores.nll_M + 5.0)

    monkeypatch.setattr(gates, "score_gate_requests", worse)
    gate = measure(world)["better_than_popularity"]
    assert not gate.passed
    assert gate.value > gate.bound + 4
    assert "train longer" in gate.message


def test_a_gate_without_held_out_requests_fails(world) -> None:
    context, model, examples, inputs = world
    examples.is_gate_X[:] = False
    results = measure((context, model, examples, inputs))
    assert not results["better_than_popularity"].passed
    assert "no request is held out" in results["better_than_popularity"].message
    assert not results["heads_differ"].passed


def test_merged_heads_are_refused(world) -> None:
    _, model, _, _ = world
    decoder = model.ptd.generate
    with torch.no_grad():
        decoder.head_JD[1] = decoder.head_JD[0]
        decoder.project_out_JDD[1] = decoder.project_out_JDD[0]
        for part in (decoder.project_bos.weight, decoder.project_bos.bias):
            width = MTP.model.width
            part[width : 2 * width] = part[:width]
    gate = measure(world)["heads_differ"]
    assert not gate.passed
    assert gate.value == pytest.approx(0.0, abs=1e-6)
    assert "the heads merged" in gate.message


def test_shared_targets_are_refused(world) -> None:
    context, model, examples, inputs = world
    examples.target_XJ[5] = examples.target_XJ[5, 0]
    assert count_shared_codes(examples.target_XJ, examples.path_XL) == 1
    assert not measure((context, model, examples, inputs))["targets_distinct"].passed


def test_targets_by_offset_may_share_an_interest(world) -> None:
    context, model, _, inputs = world
    params = replace(MTP, sequence=replace(MTP.sequence, targets="offset"))
    examples = build_examples(
        inputs.tables, inputs.catalog, params.sequence, num_heads=2, cutoff_ts=CUTOFF_TS, seed=0
    )
    gate = measure((replace(context, params=params), model, examples, inputs))["targets_distinct"]
    assert gate.value > 0
    assert gate.passed


def test_numbers_that_are_not_finite_are_refused(world) -> None:
    gate = measure(world, pa.table({"loss": [np.nan, 1.0]}))["no_nan"]
    assert not gate.passed
    assert gate.value == 1.0


def test_a_single_head_has_nothing_to_differ_from(world) -> None:
    context, _, _, inputs = world
    params = replace(MTP, model=replace(MTP.model, num_heads=1))
    examples = build_examples(
        inputs.tables, inputs.catalog, params.sequence, num_heads=1, cutoff_ts=CUTOFF_TS, seed=0
    )
    model = GPR(params.model, CODEBOOK_SIZES).eval()
    gate = measure((replace(context, params=params), model, examples, inputs))["heads_differ"]
    assert gate.passed


def test_a_leak_is_refused(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "leak_probe", lambda *_, **__: 1e-7)
    gate = measure(world)["leak_probe"]
    assert not gate.passed
    assert "expected 0" in gate.message
