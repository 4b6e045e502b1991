"""Packages stay cheap to import and say what they are."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(
    path.parent.relative_to(ROOT)
    for package in ("gpr_core", "components", "data_contracts")
    for path in (ROOT / package).rglob("__init__.py")
)
HEAVY = ("torch", "pandas", "pyarrow", "great_expectations", "kfp", "airflow")


@pytest.mark.parametrize("package", PACKAGES, ids=str)
def test_an_init_file_holds_a_docstring(package):
    text = (ROOT / package / "__init__.py").read_text()
    assert text.startswith('"""')


def test_the_registry_imports_nothing_heavy():
    code = (
        "import sys, components.pipeline.registry\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[]"
