"""What a measurement says about the machine it was made on."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from gpr_core.support.matmul import is_onednn_accurate

# Settings of OpenMP and of the matrix libraries; OPENBLAS_CORETYPE for example halves their speed.
_SETTINGS = ("OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "DNNL_", "ONEDNN_", "ATEN_")
_LIBRARIES = ("torch", "numpy", "pyarrow", "duckdb", "faiss-cpu", "lightgbm", "great-expectations")


def describe_machine() -> dict[str, Any]:
    """Describe the machine and the libraries.

    Returns:
        Processor, cores, memory in GiB, Python and library versions, and the environment
        variables that libraries for numbers read.
    """
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "onednn_is_accurate": is_onednn_accurate(),
        "cores": os.cpu_count(),
        "memory_gib": round(pages / 2**30, 1),
        "python": platform.python_version(),
        "libraries": _versions(),
        "environment": {
            name: os.environ[name]
            for name in sorted(os.environ)
            if name.startswith(_SETTINGS) or name.endswith("_THREADS")
        },
    }


def _versions() -> dict[str, str]:
    """Look up the libraries that are installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Read the processor's name, with the numbers that tell generations of one name apart."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor()
    lines = info.read_text(encoding="utf-8").splitlines()
    fields = dict(line.replace("\t", "").split(":", 1) for line in lines if ":" in line)
    parts = [fields.get(name, "").strip() for name in ("model name", "cpu family", "model")]
    return "{}, family {}, model {}".format(*parts)
