"""T36: a gate that an orchestrator goes around.

A step publishes nothing if its gate refuses, so a gate holds as long as every step waits for the
success of all steps whose artifacts it reads, and all of them stand before the push.
"""

import re

import pytest
import typer
from airflow.sdk import DAG, TriggerRule

from components.cli.app import app
from components.pipeline.registry import STEPS
from components.runners.airflow_runner import StepOperator, make_tasks
from tests.traps.orchestrator_plans import (
    ALL_SUCCESS,
    GPR,
    airflow_dag,
    airflow_plan,
    dvc_document,
    dvc_plan,
    kubeflow_document,
    kubeflow_plan,
)

MAKER = {artifact.name: spec.name for spec in STEPS for artifact in spec.outputs}
PRODUCERS = {spec.name: {MAKER[name] for name in spec.inputs} for spec in STEPS}
LAST = STEPS[-1].name


def ways_around(plan):
    """The check of this trap: name every way in which work goes on without a gate."""
    upstream = {name: {up for up, down in plan.edges if down == name} for name in PRODUCERS}
    found = [
        f"{name} starts: {start}" for name, start in plan.starts.items() if start != ALL_SUCCESS
    ]
    found += [
        f"{name} does not wait for {producer}"
        for name, producers in PRODUCERS.items()
        for producer in producers - upstream[name]
    ]
    before = {LAST}
    for _ in PRODUCERS:
        before |= {up for name in before for up in upstream[name]}
    found += [f"{LAST} can be reached around {name}" for name in PRODUCERS.keys() - before]
    return sorted(found)


def flags_around(command):
    """The other half of the check: name the options that promise to do without a check."""
    options = [f"{name} {' '.join(option.opts)}" for name, option in walk_options(command)]
    return [line for line in options if re.search(r"skip|force|ignore|no-|unsafe|gate", line)]


def walk_options(command, name="gpr"):
    """Iterate over the options of a command and its subcommands, with their full names."""
    yield from ((name, option) for option in command.params)
    for child, subcommand in getattr(command, "commands", {}).items():
        yield from walk_options(subcommand, f"{name} {child}")


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(lambda: dvc_plan(dvc_document()), id="dvc"),
        pytest.param(lambda: airflow_plan(airflow_dag()), id="airflow"),
        pytest.param(lambda: kubeflow_plan(kubeflow_document()), id="kubeflow"),
    ],
)
def test_no_orchestrator_goes_around_a_gate(plan):
    assert ways_around(plan()) == []


def test_every_airflow_task_is_a_step_that_waits_for_the_success_of_all_before_it():
    # Operators that branch or cut short would skip what follows without failing it.
    tasks = {task.task_id: (type(task), task.trigger_rule) for task in airflow_dag().tasks}
    assert tasks == {spec.name: (StepOperator, TriggerRule.ALL_SUCCESS) for spec in STEPS}


def twin_dag():
    """A DAG of the registry that may be broken."""
    with DAG("twin", schedule=None) as dag:
        return dag, make_tasks(STEPS, executable=GPR, run_arguments=["--home=/h"])


@pytest.mark.parametrize("rule", ["all_done", "none_failed", "one_success", "always"])
def test_a_task_that_may_start_after_a_refusal_or_a_skip_is_caught(rule):
    dag, tasks = twin_dag()
    tasks["model_push"].trigger_rule = TriggerRule(rule)
    assert ways_around(airflow_plan(dag)) == [f"model_push starts: {rule}"]


def test_a_task_that_airflow_lets_fail_as_a_teardown_is_caught():
    dag, tasks = twin_dag()
    tasks["evaluation"].as_teardown()
    assert ways_around(airflow_plan(dag)) == ["evaluation starts: all_done_setup_success"]


def test_an_airflow_edge_around_the_evaluation_is_caught():
    dag, tasks = twin_dag()
    tasks["model_push"].upstream_task_ids.remove("evaluation")
    tasks["evaluation"].downstream_task_ids.remove("model_push")
    assert ways_around(airflow_plan(dag)) == [
        "model_push can be reached around evaluation",
        "model_push does not wait for evaluation",
    ]


@pytest.mark.parametrize(
    "policy",
    [
        {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"},
        {"condition": "inputs.parameter_values['lake'] != ''"},
    ],
)
def test_a_kubeflow_task_that_starts_on_another_condition_is_caught(policy):
    document = kubeflow_document()
    document["root"]["dag"]["tasks"]["model-push"]["triggerPolicy"] = policy
    assert ways_around(kubeflow_plan(document)) == [f"model_push starts: {policy}"]


def test_a_kubeflow_edge_around_the_evaluation_is_caught():
    document = kubeflow_document()
    document["root"]["dag"]["tasks"]["model-push"]["dependentTasks"].remove("evaluation")
    assert ways_around(kubeflow_plan(document)) == [
        "model_push can be reached around evaluation",
        "model_push does not wait for evaluation",
    ]


def test_a_frozen_dvc_stage_is_caught():
    document = dvc_document()
    document["stages"]["corpus_curation"]["frozen"] = True
    assert ways_around(dvc_plan(document)) == ["corpus_curation starts: never"]


def test_no_command_has_an_option_that_does_without_a_check():
    assert flags_around(typer.main.get_command(app)) == []


def test_an_option_that_skips_the_gates_is_caught():
    broken = typer.Typer()
    broken.command("run")(lambda skip_gates=False: None)
    broken.command("status")(lambda day="": None)
    assert flags_around(typer.main.get_command(broken)) == ["gpr run --skip-gates"]
