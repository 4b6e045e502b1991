from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.vaft.gates import finite_gate, hit_rate_gate, weight_gates
from gpr_core.models.gpr import GPR
from gpr_core.objectives.value_weights import ValueWeightConstants, ValueWeightRule
from gpr_core.training.examples import CorpusTables
from gpr_core.training.validation import GateScores
from tests.gpr_core.training.small_corpus import (
    CODEBOOK_SIZES,
    make_small_corpus,
    make_value_weights,
)
from tests.gpr_core.training.steps import MTP, VAFT


def make_tables(root: Path, action: list[int], omega: list[float]) -> CorpusTables:
    """Decisions of the small corpus with other weights."""
    tables = make_small_corpus().tables
    _, constants = make_value_weights(tables.decisions)
    constants.save(root / "value_weights.json")
    weights = pa.table(
        {"action": pa.array(action, pa.int8()), "omega": pa.array(omega, pa.float32())}
    )
    return tables._replace(value_weights=weights)


def measure(root: Path, action: list[int], omega: list[float]):
    gates, numbers = weight_gates(make_tables(root, action, omega), root, VAFT)
    return {gate.name: gate for gate in gates}, numbers


def test_weights_in_the_right_order_with_mean_one_pass(tmp_path: Path) -> None:
    gates, numbers = measure(tmp_path, [0, 0, 1, 2], [0.4, 0.4, 1.2, 2.0])
    assert gates["weight_order"].passed
    assert gates["weight_mean_one"].passed
    assert numbers == pytest.approx(
        {"mean_weight_impression": 0.4, "mean_weight_click": 1.2, "mean_weight_conversion": 2.0}
    )


@pytest.mark.parametrize(
    ("action", "omega", "passed"),
    [
        ([0, 1, 2], [0.5, 1.5, 1.0], False),
        ([0, 1, 2], [1.0, 1.0, 1.0], False),
        ([0, 1], [0.5, 1.5], True),
        ([0, 2], [1.5, 0.5], False),
        ([0, 0], [1.0, 1.0], False),
        ([], [], False),
    ],
)
def test_the_order_counts_outcomes_that_occur(
    tmp_path: Path, action: list[int], omega: list[float], passed: bool
) -> None:
    assert measure(tmp_path, action, omega)[0]["weight_order"].passed is passed


def test_a_mean_other_than_one_is_refused(tmp_path: Path) -> None:
    gate = measure(tmp_path, [0, 1], [0.5, 1.6])[0]["weight_mean_one"]
    assert not gate.passed
    assert "the mean of 2 weights is 1.05000" in gate.message
    assert not measure(tmp_path, [], [])[0]["weight_mean_one"].passed


def test_the_clipped_share_is_recomputed_from_the_decisions(tmp_path: Path) -> None:
    tables = make_tables(tmp_path, [0, 1], [0.5, 1.5])
    path = tmp_path / "value_weights.json"
    constants = ValueWeightConstants.load(path)
    replace(constants, rule=ValueWeightRule(clip_high=2.0)).save(path)
    share = weight_gates(tables, tmp_path, VAFT)[0][2].value
    strict = replace(VAFT, max_clipped_share=share / 2)
    assert 0 < share < 0.5
    gate = weight_gates(tables, tmp_path, strict)[0][2]
    assert gate.name == "clipped_share"
    assert not gate.passed


def make_scores(hits: list[bool]) -> GateScores:
    return GateScores(np.zeros(len(hits)), np.array(hits, dtype=bool), np.zeros(len(hits)))


def test_the_allowance_is_that_of_the_paired_difference() -> None:
    before = make_scores([True] * 50 + [False] * 50)
    after = make_scores([True] * 40 + [False] * 60)
    gate, numbers = hit_rate_gate(before, after, replace(VAFT, max_hit_rate_drop=0.05))
    # Differences: 10 of 100 are 1; mean 0.1, standard deviation 0.3; relative to a rate of 0.5.
    assert numbers["hit_rate_drop"] == pytest.approx(0.2)
    assert numbers["hit_rate_drop_allowance"] == pytest.approx(1.645 * 0.3 / 10 / 0.5)
    assert not gate.passed
    assert "went from 0.5000 to 0.4000" in gate.message
    kinder, _ = hit_rate_gate(before, after, replace(VAFT, max_hit_rate_drop=0.11))
    assert kinder.passed


def test_a_gain_or_no_hits_at_all_pass_and_no_requests_fail() -> None:
    gain, _ = hit_rate_gate(make_scores([True, False]), make_scores([True, True]), VAFT)
    nothing, _ = hit_rate_gate(make_scores([False]), make_scores([False]), VAFT)
    empty, _ = hit_rate_gate(make_scores([]), make_scores([]), VAFT)
    assert [gain.passed, nothing.passed, empty.passed] == [True, True, False]


def test_losses_that_are_not_finite_are_refused() -> None:
    model = GPR(MTP.model, CODEBOOK_SIZES)
    assert finite_gate(model, pa.table({"loss": [1.0]})).passed
    assert not finite_gate(model, pa.table({"loss": [float("inf")]})).passed
