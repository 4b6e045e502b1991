"""Two fake steps, `make` and `use`, that are executed for real."""

import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import yaml

from components.pipeline import execute, registry
from components.pipeline.paths import StepPaths
from components.runtime.context import GateResult, StepResult
from components.runtime.step_spec import Artifact, StepSpec

MAKE = StepSpec(
    name="make",
    summary="Makes a number.",
    section="make",
    outputs=(Artifact(name="numbers", type="dataset"),),
    code=("gpr_core/support/errors.py",),
    gates={"positive": "the number is above zero"},
)
USE = StepSpec(
    name="use",
    summary="Doubles it.",
    section="use",
    inputs=("numbers",),
    outputs=(Artifact(name="doubled", type="dataset"),),
    code=("gpr_core/support/errors.py",),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeConfig:
    number: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class UseConfig:
    factor: int = 2


def make(context):
    number = context.params.number
    (context.outputs["numbers"] / "number.txt").write_text(str(number))
    gate = GateResult(
        name="positive", passed=number > 0, value=number, bound=0, message="must be above zero"
    )
    return StepResult(metrics={"number": float(number)}, gates=(gate,))


def use(context):
    number = int((context.inputs["numbers"] / "number.txt").read_text())
    (context.outputs["doubled"] / "number.txt").write_text(str(number * context.params.factor))
    return StepResult()


class Steps:
    """A workspace with the two fake steps."""

    def __init__(self, workspace):
        self.workspace = workspace
        self.write_params()

    def write_params(self, **sections):
        values = {"run": {"day": "2026-01-14", "threads": 1}, **sections}
        (self.workspace / "params.yaml").write_text(yaml.safe_dump(values))

    def paths(self, spec):
        return StepPaths.in_workspace(spec, self.workspace)

    def run(self, spec):
        return execute.run_step(spec, self.paths(spec))


@pytest.fixture
def steps(tmp_path, monkeypatch):
    monkeypatch.setitem(
        sys.modules, "components.make.main", SimpleNamespace(PARAMS=MakeConfig, run=make)
    )
    monkeypatch.setitem(
        sys.modules, "components.use.main", SimpleNamespace(PARAMS=UseConfig, run=use)
    )
    monkeypatch.setattr(execute, "STEPS", (MAKE, USE))
    monkeypatch.setattr(
        execute, "find_artifact", lambda name: registry.find_artifact(name, (MAKE, USE))
    )
    # A test process must not die with whoever started the test.
    monkeypatch.setattr(execute, "_die_with_parent", lambda: None)
    return Steps(tmp_path)
