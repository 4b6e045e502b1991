"""Steps as Airflow tasks: refused work is never tried again, a crash is."""

import sys
from datetime import UTC, datetime

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from components.pipeline.registry import STEPS, edges
from components.runners.airflow_runner import StepOperator, make_tasks


@pytest.fixture(scope="module")
def tasks():
    with DAG("test", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None):
        return make_tasks(STEPS, executable="/bin/gpr", run_arguments=["--home=/h"])


def test_one_task_a_step_with_the_edges_of_the_registry(tasks):
    assert list(tasks) == [spec.name for spec in STEPS]
    pairs = {(up, name) for name, task in tasks.items() for up in task.upstream_task_ids}
    assert tuple(sorted(pairs)) == edges()


def test_a_task_runs_one_step_of_the_day_of_its_partition(tasks):
    assert tasks["vaft"].arguments == [
        "/bin/gpr",
        "run",
        "--day={{ dag_run.conf.get('day') or partition_key }}",
        "--only=vaft",
        "--home=/h",
    ]


def test_a_task_announces_the_assets_that_it_writes(tasks):
    assert {asset.name for asset in tasks["tokenization"].outlets} == {
        "gpr.tokenizer",
        "gpr.catalog",
    }


def operator(code):
    return StepOperator(
        task_id="t", arguments=[sys.executable, "-c", f"import sys; print('why'); sys.exit({code})"]
    )


def test_a_finished_step_is_a_success():
    operator(0).execute({})


@pytest.mark.parametrize(
    ("code", "name"), [(10, "input refused"), (11, "output refused"), (12, "gate refused")]
)
def test_refused_work_is_never_retried(code, name):
    with pytest.raises(AirflowFailException, match=rf"{name} \(exit code {code}\): why"):
        operator(code).execute({})


@pytest.mark.parametrize("code", [1, 20])
def test_a_crash_may_be_retried(code):
    with pytest.raises(AirflowException, match=rf"crash \(exit code {code}\)") as caught:
        operator(code).execute({})
    assert not isinstance(caught.value, AirflowFailException)
