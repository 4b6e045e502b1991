"""What every benchmark result says about where it comes from."""

import sys
from pathlib import Path
from typing import Any

from gpr_core.support.files import write_json
from gpr_core.support.machine import describe_machine

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"


def write_result(name: str, result: dict[str, Any]) -> Path:
    """Write one result beside the command that reproduces it.

    Args:
        name: File name without suffix.
        result: Numbers, seeds and settings.

    Returns:
        The file.
    """
    path = RESULTS / f"{name}.json"
    # Where a folder lies is nobody else's business; its name is enough to repeat the command.
    words = [Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:]]
    arguments = " ".join(words)
    command = f"python -m benchmarks.{Path(sys.argv[0]).stem} {arguments}".strip()
    write_json(path, {"command": command, "machine": describe_machine(), **result})
    return path
