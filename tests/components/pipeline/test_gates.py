"""Gates and output contracts refuse before anything is published."""

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.pipeline.gates import (
    RunFacts,
    TableReferences,
    check_gates,
    check_output_contracts,
    recheck_changed_contracts,
    write_gate_report,
)
from components.runtime.context import GateResult
from components.runtime.exit_codes import OutputRefusedError
from components.runtime.step_spec import Artifact, StepSpec
from gpr_core.support.errors import ContractError, GateError
from gpr_core.support.files import read_json
from tests.thoughts import make_thoughts

WEIGHTS = Artifact(
    name="weights", type="dataset", contracts={"value_weights.parquet": "value_weights"}
)
SPEC = StepSpec(name="s", summary="", section="s", outputs=(WEIGHTS,), gates={"g": "g is small"})

FACTS = RunFacts(cutoff_ts=1, source=None)


def gate(*, passed):
    return GateResult(name="g", passed=passed, value=2.0, bound=1.0, message="too large")


def write_weights(folder, omegas):
    count = len(omegas)
    table = pa.table(
        {
            "request_key": pa.array(range(1, count + 1), pa.uint64()),
            "action": pa.array([0] * count, pa.int8()),
            "raw": pa.array([1.0] * count, pa.float64()),
            "omega": pa.array(omegas, pa.float32()),
        }
    )
    folder.mkdir(exist_ok=True)
    pq.write_table(table, folder / "value_weights.parquet")


def test_a_failed_gate_says_what_was_found_and_expected():
    with pytest.raises(GateError, match=r"g: too large \(found 2, bound 1\)"):
        check_gates(SPEC, (gate(passed=False),))


def test_a_missing_gate_is_a_failed_gate():
    with pytest.raises(GateError, match="gates not measured: g"):
        check_gates(SPEC, ())


def test_a_table_that_breaks_its_contract_is_an_output_refused(tmp_path):
    write_weights(tmp_path / "out", [float("nan"), 1.0])
    with pytest.raises(OutputRefusedError, match="value_weights"):
        check_output_contracts(SPEC, {"weights": tmp_path / "out"}, {}, FACTS, tmp_path / "reports")


@pytest.mark.parametrize("name", ["extra.parquet", "deep/extra.parquet"])
def test_a_table_without_a_contract_is_an_output_refused(tmp_path, name):
    write_weights(tmp_path / "out", [0.5, 1.5])
    (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"x": [1]}), tmp_path / "out" / name)
    (tmp_path / "out" / "notes.json").write_text("{}")
    message = (
        f"no data contract describes {name}\n  where: step s, artifact weights\n"
        "  fix: name the contract in components/s/spec.py, contracts={file: contract}"
    )
    with pytest.raises(OutputRefusedError, match=re.escape(message)):
        check_output_contracts(SPEC, {"weights": tmp_path / "out"}, {}, FACTS, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_a_table_that_keeps_its_contract_is_recorded_with_the_contract_hash(tmp_path):
    write_weights(tmp_path / "out", [0.5, 1.5])
    records = check_output_contracts(
        SPEC, {"weights": tmp_path / "out"}, {}, FACTS, tmp_path / "reports"
    )
    [record] = records["weights"]
    assert record["contract"] == "value_weights"
    assert record["rows"] == 2
    assert len(record["contract_hash"]) == 64
    write_gate_report(tmp_path / "out", SPEC, (gate(passed=True),), records["weights"])
    assert read_json(tmp_path / "out" / "gate_report.json")["contracts"] == [record]


def test_an_input_is_checked_again_only_if_its_contract_changed(tmp_path, monkeypatch):
    write_weights(tmp_path / "out", [0.5, 1.5])
    records = check_output_contracts(
        SPEC, {"weights": tmp_path / "out"}, {}, FACTS, tmp_path / "reports"
    )
    write_gate_report(tmp_path / "out", SPEC, (gate(passed=True),), records["weights"])
    write_weights(tmp_path / "out", [float("nan"), 1.0])
    recheck_changed_contracts(WEIGHTS, tmp_path / "out", step="s")
    monkeypatch.setattr("components.pipeline.gates.contract_hash", lambda name: "edited")
    with pytest.raises(ContractError, match="value_weights"):
        recheck_changed_contracts(WEIGHTS, tmp_path / "out", step="s")


def test_reference_tables_are_found_by_contract_name(tmp_path):
    write_weights(tmp_path / "out", [1.0])
    references = TableReferences([(WEIGHTS, tmp_path / "out")])
    assert list(references) == ["value_weights"]
    assert len(references) == 1
    assert references["value_weights"].num_rows == 1


def test_an_optional_table_is_checked_where_it_is_and_not_missed_where_it_is_not(tmp_path):
    said = {"value_weights.parquet": "value_weights", "thoughts.parquet": "thoughts"}
    corpus = Artifact(name="c", type="dataset", contracts=said, optional=("thoughts.parquet",))
    spec = StepSpec(name="s", summary="", section="s", outputs=(corpus,), gates=SPEC.gates)
    out = tmp_path / "out"
    write_weights(out, [0.5, 1.5])
    records = check_output_contracts(spec, {"c": out}, {}, FACTS, tmp_path / "reports")
    assert [record["contract"] for record in records["c"]] == ["value_weights"]
    write_gate_report(out, spec, (gate(passed=True),), records["c"])
    recheck_changed_contracts(corpus, out, step="use")
    assert list(TableReferences([(corpus, out)])) == ["value_weights"]
    pq.write_table(make_thoughts((1, 5, []), text=""), out / "thoughts.parquet")
    with pytest.raises(OutputRefusedError, match="thoughts"):
        check_output_contracts(spec, {"c": out}, {}, FACTS, tmp_path / "reports")
