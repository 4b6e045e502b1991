"""What DVC, Airflow and Kubeflow would run: steps, edges, commands and when a step may start.

A plan is read out of what the orchestrator itself reads, so that two orchestrators can be compared
with the registry by one check.
"""

import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

from components.pipeline.registry import STEPS, edges

ROOT = Path(__file__).resolve().parents[2]
GPR = str(Path(sys.executable).with_name("gpr"))
ALL_SUCCESS = "all_success"


class Plan(NamedTuple):
    """What an orchestrator does with the steps."""

    edges: frozenset[tuple[str, str]]
    """Pairs (upstream, downstream)."""
    commands: dict[str, str]
    """Step -> the command that its work ends in."""
    starts: dict[str, str]
    """Step -> when it starts; `ALL_SUCCESS` if only after all upstream steps succeeded."""


def registry_plan():
    """The plan that all three have to follow."""
    names = [spec.name for spec in STEPS]
    commands = {name: f"gpr step run {name}" for name in names}
    return Plan(frozenset(edges()), commands, dict.fromkeys(names, ALL_SUCCESS))


def dvc_document():
    """Read the committed dvc.yaml."""
    return yaml.safe_load((ROOT / "dvc.yaml").read_text())


def dvc_plan(document):
    """Read the plan out of a dvc.yaml; a frozen stage is never run again."""
    stages = document["stages"]
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
    frozen = {
        name: "never" if stage.get("frozen") else ALL_SUCCESS for name, stage in stages.items()
    }
    commands = {name: stage["cmd"].removeprefix("exec ") for name, stage in stages.items()}
    return Plan(frozenset(pairs), commands, frozen)


def airflow_dag():
    """Import the DAG as Airflow does, from a file of the DAG folder."""
    sys.path.insert(0, str(ROOT / "dags"))
    try:
        import gpr_daily
    finally:
        sys.path.pop(0)
    return gpr_daily.dag


def airflow_plan(dag):
    """Read the plan out of a DAG; its tasks run one stage of the committed dvc.yaml each."""
    pairs = {(upstream, task.task_id) for task in dag.tasks for upstream in task.upstream_task_ids}
    stages = dvc_plan(dvc_document()).commands
    commands = {task.task_id: _through_dvc(task.arguments, stages) for task in dag.tasks}
    starts = {task.task_id: task.trigger_rule.value for task in dag.tasks}
    return Plan(frozenset(pairs), commands, starts)


def _through_dvc(arguments, stages):
    """Follow `gpr run --only=STEP` to the command of that stage; anything else stays as it is."""
    options = dict(word.partition("=")[::2] for word in arguments[2:])
    if arguments[:2] == [GPR, "run"] and options.keys() == {"--day", "--only", "--home"}:
        return stages.get(options["--only"], shlex.join(arguments))
    return shlex.join(arguments)


def kubeflow_document():
    """Read the committed pipeline."""
    return next(yaml.safe_load_all((ROOT / "dags" / "kubeflow" / "gpr_daily.yaml").read_text()))


def kubeflow_plan(document):
    """Read the plan out of a compiled pipeline."""
    tasks = document["root"]["dag"]["tasks"]
    executors = document["deploymentSpec"]["executors"]
    names = {task: spec["taskInfo"]["name"] for task, spec in tasks.items()}
    commands, starts = {}, {}
    for task, spec in tasks.items():
        label = document["components"][spec["componentRef"]["name"]]["executorLabel"]
        container = executors[label]["container"]
        words = " ".join([*container["command"], *container["args"]])
        # How Kubeflow hands over paths; what runs is the same.
        commands[names[task]] = words.removesuffix(" --executor-input {{$}}")
        starts[names[task]] = str(spec.get("triggerPolicy", ALL_SUCCESS))
    pairs = {
        (names[upstream], names[task])
        for task, spec in tasks.items()
        for upstream in spec.get("dependentTasks", [])
    }
    return Plan(frozenset(pairs), commands, starts)
