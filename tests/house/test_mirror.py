"""Every module has a test file in the mirrored place."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("gpr_core", "components", "data_contracts", "dags")
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py"
)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_has_a_test_file(module):
    mirrored = ROOT / "tests" / module.with_name(f"test_{module.name}")
    assert mirrored.exists(), f"write {mirrored.relative_to(ROOT)}"
