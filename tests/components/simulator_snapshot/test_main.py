import pyarrow.parquet as pq
import pytest

from components.simulator_snapshot.main import _ranker_gates, _replay_gate, run
from components.simulator_snapshot.spec import SPEC
from gpr_core.simulation.config import RankerConfig, SnapshotConfig
from gpr_core.simulation.rankers import FitReport
from gpr_core.simulation.snapshot import load_snapshot
from gpr_core.support.hashing import hash_files
from tests.gpr_core.simulation.small_corpus import TOKENIZER_VERSION
from tests.gpr_core.simulation.small_snapshot import RANKERS
from tests.gpr_core.training.small_steps import make_context, make_inputs

PARAMS = SnapshotConfig(
    num_requests=30, request_days=4, rehearsed_share=0.2, replay_requests=8, replay_candidates=4,
    rankers=RANKERS,
)  # fmt: skip
GOOD = FitReport(kind="trees", rows=1000, positives=100, auc=0.7, calibration=1.05, ece=0.01)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def test_step_writes_a_snapshot_that_passes_its_gates(inputs, tmp_path):
    context = make_context(PARAMS, tmp_path, inputs, ["snapshot"])
    result = run(context)
    assert {gate.name for gate in result.gates} == set(SPEC.gates)
    assert all(gate.passed for gate in result.gates)
    assert result.metrics["requests/observed"] == 24
    assert result.metrics["requests/rehearsed"] == 6
    snapshot = load_snapshot(tmp_path / "snapshot", tokenizer_version=TOKENIZER_VERSION)
    written = pq.read_table(tmp_path / "snapshot" / "requests.parquet")
    assert snapshot.requests.equals(written)


def test_same_inputs_give_the_same_bytes(inputs, tmp_path):
    hashes = []
    for name in ("a", "b"):
        run(make_context(PARAMS, tmp_path / name, inputs, ["snapshot"]))
        hashes.append(hash_files(tmp_path / name / "snapshot"))
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        ({}, (True, True)),
        # Tolerance 0.1 + 3 / sqrt(100) = 0.4.
        ({"calibration": 1.39}, (True, True)),
        ({"calibration": 1.41}, (False, True)),
        ({"calibration": 0.59}, (False, True)),
        # 0.55 - 2 / sqrt(1200) = 0.492.
        ({"auc": 0.50}, (True, True)),
        ({"auc": 0.49}, (True, False)),
        ({"positives": 0, "calibration": 1.0}, (False, False)),
    ],
)
def test_ranker_gates(change, passes):
    gates = _ranker_gates(RankerConfig(), GOOD._replace(**change))
    assert tuple(gate.passed for gate in gates) == passes


def test_replay_gate_fails_on_nothing_and_on_any_difference():
    assert _replay_gate(1.0, 10).passed
    assert not _replay_gate(0.99, 10).passed
    assert not _replay_gate(1.0, 0).passed
