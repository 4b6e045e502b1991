"""The command as a process: groups, and errors without a traceback."""

import subprocess
import sys
from pathlib import Path

GPR = str(Path(sys.executable).with_name("gpr"))


def gpr(*arguments):
    return subprocess.run([GPR, *arguments], capture_output=True, text=True)


def test_help_lists_every_group():
    done = gpr("--help")
    for name in (
        "run",
        "status",
        "explain",
        "render",
        "step",
        "lake",
        "items",
        "bench",
        "params",
        "contracts",
        "models",
    ):
        assert f" {name} " in done.stdout


def test_a_deliberate_error_is_printed_with_its_fix_and_exit_code():
    done = gpr("step", "run", "tokenisation")
    assert done.returncode == 10
    assert "ConfigError: unknown step 'tokenisation'" in done.stderr
    assert "fix: did you mean 'tokenization'?" in done.stderr
    assert "Traceback" not in done.stderr
