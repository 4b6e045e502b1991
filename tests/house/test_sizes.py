"""Files and functions stay small enough to be read at once."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for package in ("gpr_core", "components", "data_contracts", "dags", "benchmarks")
    for path in (ROOT / package).rglob("*.py")
)
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60


def long_functions(source):
    """List the functions of a source text that are too long."""
    nodes = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return [node.name for node in nodes if body_lines(node) > MAX_FUNCTION_LINES]


def body_lines(node):
    """Count the lines of a function without its docstring."""
    first = node.body[0]
    has_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
    return node.end_lineno - node.lineno + 1 - docstring


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_at_most_400_lines_and_its_functions_60(path):
    text = path.read_text()
    assert text.count("\n") <= MAX_FILE_LINES
    assert long_functions(text) == []


def test_a_long_function_is_found():
    body = "\n".join("    x = 1" for _ in range(MAX_FUNCTION_LINES))
    assert long_functions(f"def f():\n{body}\n") == ["f"]
