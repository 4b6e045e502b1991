"""The code that a step declares is the code that it really uses, so that its cache is honest."""

import grimp
import pytest

from components.pipeline.registry import STEPS

# Types and machinery around the step; they cannot change what it computes.
MACHINERY = (
    "components.runtime.context",
    "components.runtime.step_spec",
    "components.runtime.exit_codes",
    "components.runtime",
    "components",
)


@pytest.fixture(scope="module")
def graph():
    return grimp.build_graph("gpr_core", "components", "data_contracts")


def used_modules(graph, name):
    """List what the modules of a step import, directly or not; its spec and commands aside."""
    package = f"components.{name}"
    own = set(graph.find_descendants(package)) - {
        f"{package}.spec",
        f"{package}.commands",
    }
    upstream = {module for start in own for module in graph.find_upstream_modules(start)}
    return own | upstream - set(MACHINERY)


def is_declared(module, code):
    """Say whether a module lies in one of the declared files or folders."""
    path = module.replace(".", "/")
    return any(
        path == entry.removesuffix(".py") or path.startswith(f"{entry}/") or path == entry
        for entry in code
    )


@pytest.mark.parametrize("spec", STEPS, ids=lambda spec: spec.name)
def test_a_step_declares_all_code_that_it_imports(spec, graph):
    undeclared = sorted(
        module for module in used_modules(graph, spec.name) if not is_declared(module, spec.code)
    )
    assert undeclared in (["gpr_core"], [])


@pytest.mark.parametrize("spec", STEPS, ids=lambda spec: spec.name)
def test_a_step_declares_no_code_that_it_does_not_use(spec, graph):
    used = {module.replace(".", "/") for module in used_modules(graph, spec.name)}
    for entry in spec.code:
        stem = entry.removesuffix(".py")
        assert any(path == stem or path.startswith(f"{stem}/") for path in used), entry


def test_undeclared_code_is_noticed(graph):
    assert not is_declared("gpr_core.models.gpr", ("gpr_core/data", "gpr_core/models/hsd.py"))
