"""The registry as dvc.yaml, and `dvc repro` in process."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import yaml

from components.pipeline.execute import BusyError, landed_manifests
from components.pipeline.paths import StepPaths
from components.runtime.exit_codes import ExitCode
from components.runtime.step_spec import StepSpec
from gpr_core.support.config import load_section, read_yaml
from gpr_core.support.files import read_json, write_json
from gpr_core.support.run_config import RunConfig

_LOGGER = logging.getLogger("gpr.dvc")

_HEADER = (
    "# Made from components/pipeline/registry.py by `gpr render`; a test fails when it differs.\n"
)


def render_dvc_yaml(steps: Sequence[StepSpec]) -> str:
    """Render the pipeline for DVC.

    Args:
        steps: The registry.

    Returns:
        Content of dvc.yaml. Paths of the lake come from the `run` section of params.yaml.
    """
    stages = {spec.name: _stage(spec) for spec in steps}
    return _HEADER + yaml.safe_dump({"stages": stages}, sort_keys=False, width=100)


def _stage(spec: StepSpec) -> dict[str, Any]:
    """Render one stage."""
    lake = [f"${{run.lake}}/manifests/${{run.day}}/{name}.json" for name in spec.lake_manifests]
    inputs = [f"artifacts/{name}" for name in spec.inputs]
    outs: list[Any] = [_out(f"artifacts/{out.name}", cached=out.cached) for out in spec.outputs]
    stage = {
        "desc": spec.summary,
        # A shell that stayed between would outlive the run and keep the step alive with it.
        "cmd": f"exec gpr step run {spec.name}",
        "deps": [*lake, *inputs, *spec.code],
        "params": [*(f"run.{name}" for name in spec.run_params), spec.section],
        "outs": outs,
        "metrics": [f"metrics/{spec.name}.json"],
        "plots": [f"plots/{spec.name}/{file}" for file in spec.plots],
        "meta": {"gpus": spec.resources.gpus, "retries": spec.resources.retries},
    }
    return {name: value for name, value in stage.items() if value != []}


def _out(path: str, *, cached: bool) -> Any:
    """Render one output."""
    return path if cached else {path: {"cache": False}}


def reproduce(workspace: Path, steps: Sequence[StepSpec], *, only: str | None = None) -> ExitCode:
    """Run what is out of date in a workspace, and push the results to the default remote.

    Args:
        workspace: A workspace made by `prepare_workspace`.
        steps: The registry.
        only: Run this step alone; its inputs must be there.

    Returns:
        How it ended. DVC turns every failure into one code, so the step's own is read from the
        status file that it left.

    Raises:
        ArtifactError: If a day that a step needs has not landed in the lake; DVC would only say
            that a file is missing, after hours of training.
        BusyError: If a step of this workspace is running.
    """
    from dvc.exceptions import DvcException  # noqa: PLC0415 - slow to import
    from dvc.repo import Repo  # noqa: PLC0415

    chosen = [spec for spec in steps if only in (None, spec.name)]
    _require_landed_days(workspace, chosen)
    _forget_failures(workspace, chosen)
    # The `gpr` of this very installation must be found, whether or not it is on the PATH.
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    # DVC resolves its targets and its run-cache against the working folder.
    with _environment(PATH=search), chdir(workspace), Repo(str(workspace)) as repo:
        try:
            repo.reproduce(targets=[only] if only else None, single_item=only is not None)
        except DvcException as error:
            return _explain_failure(workspace, chosen, error)
        _note_restored(workspace, chosen)
        try:
            repo.push(run_cache=True)
        except DvcException:
            _LOGGER.exception("the steps are done, but DVC could not push; run again")
            return ExitCode.CRASH
    return ExitCode.DONE


def _require_landed_days(workspace: Path, steps: Sequence[StepSpec]) -> None:
    """Refuse to start before all days that the steps need have landed."""
    run = load_section(
        RunConfig, (read_yaml(workspace / "params.yaml") or {}).get("run"), where="params.yaml run"
    )
    for spec in steps:
        landed_manifests(spec, workspace / run.lake, run.day)


def _forget_failures(workspace: Path, steps: Sequence[StepSpec]) -> None:
    """Remove what earlier attempts left, so that a failure that is found is one of this run."""
    for spec in steps:
        path = StepPaths.in_workspace(spec, workspace).status
        record: dict[str, Any] = read_json(path) if path.exists() else {"state": "not started"}
        if record["state"] == "running" and is_alive(record["pid"]):
            raise BusyError(
                f"step {spec.name!r} is already running as process {record['pid']}",
                where=str(workspace),
                fix="wait for it, or stop that process and run the day again",
            )
        if record["state"] in ("running", "failed"):
            path.unlink()


def is_alive(pid: int) -> bool:
    """Say whether a process of this machine lives.

    Args:
        pid: Its number.

    Returns:
        True if it does; it may belong to somebody else.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _explain_failure(workspace: Path, steps: Sequence[StepSpec], error: BaseException) -> ExitCode:
    """Find the step that failed and how."""
    for index, spec in enumerate(steps):
        path = StepPaths.in_workspace(spec, workspace).status
        record: dict[str, Any] = read_json(path) if path.exists() else {"state": "done"}
        if record["state"] == "done":
            continue
        _note_restored(workspace, steps[:index])
        if record["state"] == "failed":
            return ExitCode(record["code"])
        _LOGGER.error(
            "%s  process %s was killed; run again, it resumes from its checkpoint",
            spec.name,
            record["pid"],
        )
        return ExitCode.CRASH
    _LOGGER.error("DVC failed before a step ran: %s", error.__cause__ or error)
    return ExitCode.CRASH


def _note_restored(workspace: Path, steps: Sequence[StepSpec]) -> None:
    """Give a status to steps whose results DVC took from its cache instead of running them."""
    for spec in steps:
        path = StepPaths.in_workspace(spec, workspace).status
        if not path.exists():
            note = "restored from the cache"
            write_json(path, {"step": spec.name, "state": "done", "code": 0, "message": note})


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
