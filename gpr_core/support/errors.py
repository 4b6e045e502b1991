"""Every deliberate error of the project.

    GprError
    +-- ConfigError     (ValueError)    a parameter is unknown, of the wrong type or out of range
    +-- ShapeError      (ValueError)    an array has another shape or dtype than promised
    +-- NotFittedError  (RuntimeError)  something is used before it was fitted
    +-- ArtifactError   (RuntimeError)  an artifact is missing, corrupt or of another version
    +-- ContractError   (ValueError)    a table breaks its data contract
    +-- GateError       (RuntimeError)  a numeric gate refuses a result
    +-- LeakageError    (ValueError)    something from after the cutoff reaches training
    +-- LegalityError   (RuntimeError)  an ad that may not serve was emitted or used as a target

A message has three lines: what is wrong (found and expected), where it is, and how to mend it.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class GprError(Exception):
    """Base of all deliberate errors.

    Args:
        what: What was found and what was expected.
        where: Step, file, field or row; empty if there is no place to name.
        fix: A command or a value that mends it; empty if none is known.
    """

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what = what
        self.where = where
        self.fix = fix
        lines = [what]
        if where:
            lines.append(f"  where: {where}")
        if fix:
            lines.append(f"  fix: {fix}")
        super().__init__("\n".join(lines))


class ConfigError(GprError, ValueError):
    """A parameter is unknown, of the wrong type or out of its range."""


class ShapeError(GprError, ValueError):
    """An array has another shape or dtype than its interface promises."""


class NotFittedError(GprError, RuntimeError):
    """An object that learns was used before it was fitted."""


class ArtifactError(GprError, RuntimeError):
    """An artifact is missing, corrupt, tampered with or of another version."""


class ContractError(GprError, ValueError):
    """A table breaks its data contract."""


class GateError(GprError, RuntimeError):
    """A numeric gate refuses a result; running again cannot help."""


class LeakageError(GprError, ValueError):
    """Information from after the cutoff would reach training."""


class LegalityError(GprError, RuntimeError):
    """An ad that may not serve a request was emitted or used as a target."""


def suggest_name(name: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, and list the known ones.

    Args:
        name: The name that is not known.
        known: All names that are.

    Returns:
        One sentence for the `fix` line of an error.

    Example:
        >>> suggest_name("sead", ["seed", "day"])
        "did you mean 'seed'? known: day, seed"
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(names)}"
