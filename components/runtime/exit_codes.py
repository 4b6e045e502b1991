"""Error type -> exit code; an orchestrator retries only `CRASH`.

0 done; 10 an input is refused (configuration, contract, manifest, leakage); 11 an output breaks its
contract; 12 a numeric gate refuses the result; 20 anything else, worth one more try.
"""

from enum import IntEnum

from gpr_core.support.errors import (
    ArtifactError,
    ConfigError,
    ContractError,
    GateError,
    LeakageError,
    LegalityError,
)


class ExitCode(IntEnum):
    """How a step ended."""

    DONE = 0
    INPUT_REFUSED = 10
    OUTPUT_REFUSED = 11
    GATE_REFUSED = 12
    CRASH = 20


_CODES: tuple[tuple[type[BaseException], ExitCode], ...] = (
    (GateError, ExitCode.GATE_REFUSED),
    (LegalityError, ExitCode.GATE_REFUSED),
    (ContractError, ExitCode.INPUT_REFUSED),
    (ConfigError, ExitCode.INPUT_REFUSED),
    (ArtifactError, ExitCode.INPUT_REFUSED),
    (LeakageError, ExitCode.INPUT_REFUSED),
)


class OutputRefusedError(ContractError):
    """A table that the step itself wrote breaks its contract."""


def exit_code_of(error: BaseException) -> ExitCode:
    """Translate an error.

    Args:
        error: What ended the step.

    Returns:
        Its exit code.

    Example:
        >>> exit_code_of(GateError("collision too high")).value
        12
    """
    if isinstance(error, OutputRefusedError):
        return ExitCode.OUTPUT_REFUSED
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.CRASH
