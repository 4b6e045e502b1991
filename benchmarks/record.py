"""What every benchmark result says about where it comes from."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gpr_core.support.files import write_json

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "benchmarks"
_LIBRARIES = ("torch", "numpy", "pyarrow", "duckdb", "faiss-cpu", "lightgbm", "great-expectations")


def describe_machine() -> dict[str, Any]:
    """Describe the machine and the libraries.

    Returns:
        Processor, cores, memory in GiB, Python and library versions, and the thread settings.
    """
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    threads = {name: os.environ[name] for name in sorted(os.environ) if name.endswith("_THREADS")}
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in _LIBRARIES},
        "environment": threads,
    }


def write_result(name: str, result: dict[str, Any]) -> Path:
    """Write one result beside the command that reproduces it.

    Args:
        name: File name without suffix.
        result: Numbers, seeds and settings.

    Returns:
        The file.
    """
    path = RESULTS / f"{name}.json"
    arguments = " ".join(sys.argv[1:])
    command = f"python -m benchmarks.{Path(sys.argv[0]).stem} {arguments}".strip()
    write_json(path, {"command": command, "machine": describe_machine(), **result})
    return path


def _processor() -> str:
    """Read the processor's name."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()
