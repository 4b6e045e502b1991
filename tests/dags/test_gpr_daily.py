"""The DAG file parses quickly, without heavy imports, and is scheduled by day."""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest

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


def run_at(day, hour):
    """Ask the timetable for the first run of a date, as the scheduler does."""
    code = (
        "import json, gpr_daily\n"
        "from pendulum import datetime\n"
        "from airflow.serialization.encoders import coerce_to_core_timetable\n"
        "from airflow.timetables.base import TimeRestriction\n"
        f"earliest = datetime({day.year}, {day.month}, {day.day}, {hour})\n"
        "restriction = TimeRestriction(earliest=earliest, latest=None, catchup=True)\n"
        "timetable = coerce_to_core_timetable(gpr_daily.dag.timetable)\n"
        "run = timetable.next_dagrun_info_v2(last_dagrun_info=None, restriction=restriction)\n"
        "print(json.dumps([run.run_after.isoformat(), run.partition_key]))\n"
    )
    run_after, partition_key = json.loads(parse(code))
    return datetime.fromisoformat(run_after), partition_key


@pytest.mark.parametrize("day", [date(2026, 1, 16), date(2026, 3, 1)])
def test_the_run_of_a_day_starts_when_the_day_after_has_landed(day):
    run_after, partition_key = run_at(day, hour=0)
    trained_on, evaluated_on = day - timedelta(days=2), day - timedelta(days=1)
    assert partition_key == trained_on.isoformat()
    landed = datetime.combine(evaluated_on + timedelta(days=1), time(), tzinfo=UTC)
    assert run_after == landed + timedelta(hours=3)


def test_a_date_whose_run_has_begun_is_followed_by_the_run_of_the_next():
    run_after, partition_key = run_at(date(2026, 1, 16), hour=4)
    assert (run_after.day, partition_key) == (17, "2026-01-15")


def test_one_day_runs_at_a_time_and_missed_days_are_not_caught_up():
    names = "dag.timetable.__class__.__name__, dag.max_active_runs, dag.catchup"
    code = f"from gpr_daily import dag; print({names})"
    assert parse(code) == "CronPartitionTimetable 1 False"
