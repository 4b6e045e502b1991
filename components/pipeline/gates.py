"""Gates: numbers that a step must reach, and contracts that its tables must keep."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.pipeline.manifest import GATE_REPORT
from components.runtime.context import GateResult
from components.runtime.exit_codes import OutputRefusedError
from components.runtime.step_spec import Artifact, StepSpec
from data_contracts.check import CheckOutcome, check_table, write_check_reports
from data_contracts.load import accepted_parameters, contract_hash, source_parameters
from gpr_core.support.errors import ContractError, GateError
from gpr_core.support.files import read_json, write_json


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What the rules of a contract may ask about the run.

    Attributes:
        cutoff_ts: End of the training day, epoch ms.
        source: Source of the lake, or None where a step does not read the lake.
        bounds: Contract -> parameter -> value that the step itself knows.
    """

    cutoff_ts: int
    source: str | None
    bounds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def parameters_of(self, contract: str) -> dict[str, float]:
        """Select the facts that a contract has a parameter for.

        Args:
            contract: Its name.

        Returns:
            Parameter name -> value.

        Raises:
            ConfigError: If the step bounds a parameter that the contract does not have.
        """
        known = {} if self.source is None else source_parameters(contract, self.source)
        run = accepted_parameters(contract, {"cutoff_ts": self.cutoff_ts})
        return {**known, **run, **self.bounds.get(contract, {})}


def check_gates(spec: StepSpec, results: tuple[GateResult, ...]) -> None:
    """Refuse a result that fails a gate, or that forgot to measure one.

    Args:
        spec: The step.
        results: What the step measured.

    Raises:
        GateError: If a gate of the spec is missing from the results, or failed.
    """
    measured = {result.name for result in results}
    missing = sorted(spec.gates.keys() - measured)
    if missing:
        raise GateError(
            f"gates not measured: {', '.join(missing)}",
            where=f"step {spec.name}",
            fix="a gate that is not measured counts as failed; see the step's README",
        )
    failed = [result for result in results if not result.passed]
    if failed:
        lines = [
            f"{result.name}: {result.message} (found {result.value:.6g}, bound {result.bound:.6g})"
            for result in failed
        ]
        raise GateError(
            "gate refused the result:\n    " + "\n    ".join(lines),
            where=f"step {spec.name}",
            fix="nothing was published; see docs/runbook.md, exit code 12",
        )


def check_output_contracts(
    spec: StepSpec,
    outputs: Mapping[str, Path],
    inputs: Mapping[str, tuple[Artifact, Path]],
    facts: RunFacts,
    reports: Path,
) -> dict[str, list[dict[str, Any]]]:
    """Check every table that a step wrote against its contract.

    Args:
        spec: The step.
        outputs: Artifact name -> staging folder.
        inputs: Artifact name -> (description, folder), for rules that refer to other tables.
        facts: What the rules may ask about the run.
        reports: Folder for the full reports.

    Returns:
        Artifact name -> one record per contract, for the gate report.

    Raises:
        OutputRefusedError: If a table breaks its contract, or has none.
    """
    read = list(inputs.values())
    written = [(artifact, outputs[artifact.name]) for artifact in spec.outputs]
    references = TableReferences([*read, *written])
    records: dict[str, list[dict[str, Any]]] = {}
    for artifact in spec.outputs:
        _refuse_unnamed_tables(artifact, outputs[artifact.name], step=spec.name)
        tables = artifact.tables_in(outputs[artifact.name])
        bounds = {name: facts.parameters_of(name) for name in tables.values()}
        outcomes = [
            check_table(
                name,
                pq.read_table(outputs[artifact.name] / file),
                references=references,
                parameters=bounds[name],
            )
            for file, name in tables.items()
        ]
        records[artifact.name] = [_record(item, bounds[item.contract]) for item in outcomes]
        if outcomes:
            write_check_reports(outcomes, reports / "outputs" / artifact.name)
        _raise_if_refused(outcomes, where=f"step {spec.name}, artifact {artifact.name}")
    return records


def write_gate_report(
    folder: Path,
    spec: StepSpec,
    results: tuple[GateResult, ...],
    contracts: list[dict[str, Any]],
) -> None:
    """Write the gate report that travels with an artifact.

    Args:
        folder: The artifact's staging folder.
        spec: The step.
        results: Its gates.
        contracts: Records of `check_output_contracts`.
    """
    gates = [{**asdict(result), "demand": spec.gates[result.name]} for result in results]
    write_json(folder / GATE_REPORT, {"step": spec.name, "gates": gates, "contracts": contracts})


def recheck_changed_contracts(artifact: Artifact, folder: Path, *, step: str) -> None:
    """Check an input again if its contract was edited after the artifact was made.

    Args:
        artifact: The input.
        folder: Where it lies.
        step: The step that reads it, for the message.

    Raises:
        ContractError: If a table breaks the contract as it is now.
    """
    passed = {record["contract"]: record for record in read_json(folder / GATE_REPORT)["contracts"]}
    for file, name in artifact.tables_in(folder).items():
        record = passed.get(name, {})
        if record.get("contract_hash") != contract_hash(name):
            outcome = check_table(
                name,
                pq.read_table(folder / file),
                references=TableReferences([(artifact, folder)]),
                parameters=accepted_parameters(name, record.get("parameters", {})),
            )
            outcome.raise_if_failed(f"step {step}, input {artifact.name}/{file}")


class TableReferences(Mapping[str, pa.Table]):
    """Tables by contract name, read from artifacts when first asked for.

    Args:
        artifacts: (description, folder) of every artifact that may be referred to.
    """

    def __init__(self, artifacts: list[tuple[Artifact, Path]]) -> None:
        self._paths = {
            name: folder / file
            for artifact, folder in artifacts
            for file, name in artifact.tables_in(folder).items()
        }
        self._tables: dict[str, pa.Table] = {}

    def __getitem__(self, name: str) -> pa.Table:
        """Read one table."""
        if name not in self._tables:
            self._tables[name] = pq.read_table(self._paths[name])
        return self._tables[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over contract names."""
        return iter(self._paths)

    def __len__(self) -> int:
        """Count the tables."""
        return len(self._paths)


def _refuse_unnamed_tables(artifact: Artifact, folder: Path, *, step: str) -> None:
    """Refuse a Parquet file that no contract describes."""
    written = {path.relative_to(folder).as_posix() for path in folder.rglob("*.parquet")}
    unnamed = sorted(written - artifact.contracts.keys())
    if unnamed:
        raise OutputRefusedError(
            f"no data contract describes {', '.join(unnamed)}",
            where=f"step {step}, artifact {artifact.name}",
            fix=f"name the contract in components/{step}/spec.py, contracts={{file: contract}}",
        )


def _record(outcome: CheckOutcome, parameters: Mapping[str, float]) -> dict[str, Any]:
    """Summarize one contract check."""
    return {
        "contract": outcome.contract,
        "version": outcome.version,
        "contract_hash": contract_hash(outcome.contract),
        "parameters": dict(parameters),
        "rows": outcome.rows,
        "rules": len(outcome.rules),
        "passed": outcome.ok,
    }


def _raise_if_refused(outcomes: list[CheckOutcome], *, where: str) -> None:
    """Turn a broken output contract into the error of exit code 11."""
    for outcome in outcomes:
        try:
            outcome.raise_if_failed(where)
        except ContractError as error:
            raise OutputRefusedError(error.what, where=error.where, fix=error.fix) from error
