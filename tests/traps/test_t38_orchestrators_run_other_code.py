"""T38: an orchestrator that runs other steps, in another order, or other code than the tests."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest
from airflow.sdk import DAG

from components.cli.app import main
from components.pipeline.registry import STEPS
from components.runners.airflow_runner import make_tasks
from tests.traps.orchestrator_plans import (
    GPR,
    ROOT,
    airflow_dag,
    airflow_plan,
    dvc_document,
    dvc_plan,
    kubeflow_document,
    kubeflow_plan,
    registry_plan,
)


def differences(plan):
    """The check of this trap: name every step, edge and command that is not the registry's."""
    expected = registry_plan()
    found = [f"edge {pair}" for pair in plan.edges ^ expected.edges]
    found += [f"step {name}" for name in plan.commands.keys() ^ expected.commands.keys()]
    found += [
        f"command {name}"
        for name in plan.commands.keys() & expected.commands.keys()
        if plan.commands[name] != expected.commands[name]
    ]
    return sorted(found)


PLANS = {
    "dvc": lambda: dvc_plan(dvc_document()),
    "airflow": lambda: airflow_plan(airflow_dag()),
    "kubeflow": lambda: kubeflow_plan(kubeflow_document()),
}


@pytest.mark.parametrize("orchestrator", PLANS)
def test_an_orchestrator_runs_the_steps_edges_and_commands_of_the_registry(orchestrator):
    assert differences(PLANS[orchestrator]()) == []


def test_dvc_lists_the_steps_in_the_order_of_the_registry():
    assert list(dvc_document()["stages"]) == [spec.name for spec in STEPS]


def broken_dvc(change):
    """A dvc.yaml in which one of three mistakes was made."""
    document = dvc_document()
    stages = document["stages"]
    if change == "edge":
        stages["model_push"]["deps"].remove("artifacts/evaluation")
    elif change == "command":
        stages["vaft"]["cmd"] = "python notebooks/vaft.py"
    else:
        del stages["vaft"]
    return dvc_plan(document)


def broken_airflow(change):
    """A DAG in which one of three mistakes was made."""
    steps = [spec for spec in STEPS if change != "step" or spec.name != "model_push"]
    with DAG("twin", schedule=None) as dag:
        tasks = make_tasks(steps, executable=GPR, run_arguments=["--home=/h"])
    if change == "edge":
        tasks["model_push"].upstream_task_ids.remove("evaluation")
        tasks["evaluation"].downstream_task_ids.remove("model_push")
    elif change == "command":
        tasks["vaft"].arguments = ["python", "notebooks/vaft.py"]
    return airflow_plan(dag)


def broken_kubeflow(change):
    """A compiled pipeline in which one of three mistakes was made."""
    document = kubeflow_document()
    tasks = document["root"]["dag"]["tasks"]
    if change == "edge":
        tasks["model-push"]["dependentTasks"].remove("evaluation")
    elif change == "command":
        container = document["deploymentSpec"]["executors"]["exec-vaft"]["container"]
        container |= {"command": ["python"], "args": ["notebooks/vaft.py"]}
    else:
        del tasks["model-push"]
    return kubeflow_plan(document)


BROKEN = {"dvc": broken_dvc, "airflow": broken_airflow, "kubeflow": broken_kubeflow}


@pytest.mark.parametrize("orchestrator", BROKEN)
def test_a_dropped_edge_is_caught(orchestrator):
    assert differences(BROKEN[orchestrator]("edge")) == ["edge ('evaluation', 'model_push')"]


@pytest.mark.parametrize("orchestrator", BROKEN)
def test_another_command_is_caught(orchestrator):
    assert differences(BROKEN[orchestrator]("command")) == ["command vaft"]


@pytest.mark.parametrize("orchestrator", BROKEN)
def test_a_step_that_was_left_out_is_caught(orchestrator):
    left_out = "vaft" if orchestrator == "dvc" else "model_push"
    assert f"step {left_out}" in differences(BROKEN[orchestrator]("step"))


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--only=hepo"], id="the work of another step"),
        pytest.param(["--only=vaft", "--set=vaft.epochs=1"], id="other parameters"),
        pytest.param([], id="all steps in one task"),
    ],
)
def test_a_task_that_asks_gpr_for_something_else_is_caught(arguments):
    with DAG("twin", schedule=None) as dag:
        tasks = make_tasks(STEPS, executable=GPR, run_arguments=["--home=/h"])
    tasks["vaft"].arguments = [GPR, "run", "--day=2026-01-14", "--home=/h", *arguments]
    assert differences(airflow_plan(dag)) == ["command vaft"]


def test_the_gpr_command_is_the_code_of_this_tree():
    [script] = entry_points(group="console_scripts", name="gpr")
    assert script.load() is main
    assert Path(main.__code__.co_filename) == ROOT / "components" / "cli" / "app.py"
    assert Path(GPR).exists()
