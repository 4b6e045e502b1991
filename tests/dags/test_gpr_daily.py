"""The DAG file parses quickly, without heavy imports, and is scheduled by day."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "pandas", "great_expectations", "kfp", "dvc")


def parse(code):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT / "dags",
        check=True,
        env=None,
    )
    return done.stdout.strip().splitlines()[-1]


def test_parsing_imports_nothing_heavy():
    code = f"import sys, gpr_daily; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert parse(code) == "[]"


def test_the_run_of_a_day_starts_when_the_day_after_has_landed():
    timetable = "gpr_daily.dag.timetable"
    code = f"import gpr_daily; print({timetable}.__class__.__name__, gpr_daily.dag.max_active_runs)"
    assert parse(code) == "CronPartitionTimetable 1"
