"""The DAG file parses quickly, without heavy imports, and is scheduled by day."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "pandas", "great_expectations", "kfp", "dvc")
# Midnight of a date, midnight after a short month, and a minute after a run began.
MOMENTS = ("2026-01-16", "2026-03-01", "2026-01-16T03:01")


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


@pytest.fixture(scope="module")
def first_runs():
    """The first run from some moments on, as the scheduler asks for it: (run after, key)."""
    code = (
        "import json, gpr_daily\n"
        "from pendulum import parse\n"
        "from airflow.serialization.encoders import coerce_to_core_timetable\n"
        "from airflow.timetables.base import TimeRestriction\n"
        "timetable = coerce_to_core_timetable(gpr_daily.dag.timetable)\n"
        "runs = {}\n"
        f"for moment in {MOMENTS!r}:\n"
        "    after = TimeRestriction(earliest=parse(moment), latest=None, catchup=True)\n"
        "    run = timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=after)\n"
        "    runs[moment] = [run.run_after.isoformat(), run.partition_key]\n"
        "print(json.dumps(runs))\n"
    )
    return {
        moment: (datetime.fromisoformat(run_after), key)
        for moment, (run_after, key) in json.loads(parse(code)).items()
    }


@pytest.mark.parametrize("moment", MOMENTS[:2])
def test_the_run_of_a_day_starts_when_the_day_after_has_landed(first_runs, moment):
    run_after, partition_key = first_runs[moment]
    trained_on = date.fromisoformat(moment) - timedelta(days=2)
    assert partition_key == trained_on.isoformat()
    # The day after is evaluated on: it ends two midnights after the training day began.
    landed = datetime.combine(trained_on + timedelta(days=2), time(), tzinfo=UTC)
    assert run_after == landed + timedelta(hours=3)


def test_a_date_whose_run_has_begun_is_followed_by_the_run_of_the_next(first_runs):
    run_after, partition_key = first_runs[MOMENTS[2]]
    assert run_after == datetime(2026, 1, 17, 3, tzinfo=UTC)
    assert partition_key == "2026-01-15"


def test_one_day_runs_at_a_time_and_missed_days_are_not_caught_up():
    names = "dag.timetable.__class__.__name__, dag.max_active_runs, dag.catchup"
    code = f"from gpr_daily import dag; print({names})"
    assert parse(code) == "CronPartitionTimetable 1 False"
