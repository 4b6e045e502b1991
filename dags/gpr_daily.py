"""The daily retraining DAG: one task for each step of the registry, one partition for each day.

A run for training day D needs the logs of D and of the day after, which it is evaluated on, so the
run that starts at 03:00 on day D+2 carries the partition key D. Settings are Airflow variables read
when a task runs, never when the file is parsed.
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, CronPartitionTimetable

from components.pipeline.registry import STEPS
from components.runners.airflow_runner import make_tasks

_RUNBOOK = """
### What this DAG does
Trains, evaluates and pushes the model of one day. The partition key is the training day.

### When a task is red
Read the last lines of its log: the message says what is wrong, where, and how to mend it.
Exit code 10: an input was refused; 11: an output broke its contract; 12: a gate refused; 20: crash.
Then clear the task: finished steps are not repeated, training resumes from its checkpoint.
The whole runbook is `docs/runbook.md`; `gpr models rollback` restores the previous model.
"""

with DAG(
    dag_id="gpr_daily",
    description="Eight steps from yesterday's logs to a better ad model",
    doc_md=_RUNBOOK,
    schedule=CronPartitionTimetable(
        "0 3 * * *", timezone="UTC", run_offset=-2, key_format="%Y-%m-%d"
    ),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    tags=["gpr"],
) as dag:
    make_tasks(
        STEPS,
        executable=str(Path(sys.executable).with_name("gpr")),
        run_arguments=["--home={{ var.value.get('gpr_home', '/var/lib/gpr') }}"],
    )
