"""Each kind of error has one exit code."""

import pytest

from components.runtime.exit_codes import ExitCode, OutputRefusedError, exit_code_of
from gpr_core.support.errors import (
    ArtifactError,
    ConfigError,
    ContractError,
    GateError,
    LeakageError,
    LegalityError,
    ShapeError,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError(""), ExitCode.INPUT_REFUSED),
        (ContractError(""), ExitCode.INPUT_REFUSED),
        (ArtifactError(""), ExitCode.INPUT_REFUSED),
        (LeakageError(""), ExitCode.INPUT_REFUSED),
        (OutputRefusedError(""), ExitCode.OUTPUT_REFUSED),
        (GateError(""), ExitCode.GATE_REFUSED),
        (LegalityError(""), ExitCode.GATE_REFUSED),
        (ShapeError(""), ExitCode.CRASH),
        (MemoryError(), ExitCode.CRASH),
        (KeyboardInterrupt(), ExitCode.CRASH),
    ],
)
def test_an_error_has_its_exit_code(error, code):
    assert exit_code_of(error) is code


def test_the_codes_are_those_of_the_runbook():
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0,
        "INPUT_REFUSED": 10,
        "OUTPUT_REFUSED": 11,
        "GATE_REFUSED": 12,
        "CRASH": 20,
    }
