"""dvc.yaml, the Airflow DAG and the Kubeflow pipeline are the registry, and nothing else (T38)."""

import sys
from pathlib import Path

import pytest
import yaml

from components.cli.render_commands import rendered_files
from components.pipeline.registry import STEPS, edges

ROOT = Path(__file__).resolve().parents[2]
NAMES = [spec.name for spec in STEPS]


def dvc_graph(text):
    """Read steps and edges out of a dvc.yaml."""
    stages = yaml.safe_load(text)["stages"]
    maker = {
        next(iter(out)) if isinstance(out, dict) else out: name
        for name, stage in stages.items()
        for out in stage["outs"]
    }
    pairs = {
        (maker[dep], name)
        for name, stage in stages.items()
        for dep in stage["deps"]
        if dep in maker
    }
    return list(stages), tuple(sorted(pairs))


def kubeflow_graph(text):
    """Read steps and edges out of a compiled pipeline."""
    tasks = next(yaml.safe_load_all(text))["root"]["dag"]["tasks"]
    names = {task: spec["taskInfo"]["name"] for task, spec in tasks.items()}
    pairs = {
        (names[upstream], names[task])
        for task, spec in tasks.items()
        for upstream in spec.get("dependentTasks", [])
    }
    return sorted(names.values()), tuple(sorted(pairs))


def airflow_graph():
    """Read steps and edges out of the DAG file."""
    sys.path.insert(0, str(ROOT / "dags"))
    try:
        import gpr_daily
    finally:
        sys.path.pop(0)
    pairs = {
        (upstream, task.task_id)
        for task in gpr_daily.dag.tasks
        for upstream in task.upstream_task_ids
    }
    return sorted(task.task_id for task in gpr_daily.dag.tasks), tuple(sorted(pairs))


@pytest.mark.parametrize("name", ["dvc.yaml", "params.yaml", "dags/kubeflow/gpr_daily.yaml"])
def test_a_committed_file_is_what_the_registry_renders(name):
    assert (ROOT / name).read_text() == rendered_files()[name], "run `gpr render` and commit"


def test_dvc_has_the_steps_and_edges_of_the_registry():
    assert dvc_graph((ROOT / "dvc.yaml").read_text()) == (NAMES, edges())


def test_kubeflow_has_the_steps_and_edges_of_the_registry():
    text = (ROOT / "dags" / "kubeflow" / "gpr_daily.yaml").read_text()
    assert kubeflow_graph(text) == (sorted(NAMES), edges())


def test_airflow_has_the_steps_and_edges_of_the_registry():
    assert airflow_graph() == (sorted(NAMES), edges())


def test_all_three_execute_the_same_command():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    pipeline = yaml.safe_load((ROOT / "dags" / "kubeflow" / "gpr_daily.yaml").read_text())
    executors = pipeline["deploymentSpec"]["executors"].values()
    assert {stage["cmd"] for stage in stages.values()} == {f"gpr step run {name}" for name in NAMES}
    assert {
        " ".join([*executor["container"]["command"], *executor["container"]["args"][:3]])
        for executor in executors
    } == {f"gpr step run {name}" for name in NAMES}


def test_a_step_that_was_left_out_is_noticed():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    del stages["stages"]["vaft"]
    assert dvc_graph(yaml.safe_dump(stages, sort_keys=False)) != (NAMES, edges())
