"""The life of a step: resolve, check inputs, compute, check outputs and gates, publish.

Nothing is visible before `publish`, which is a rename and comes last. An existing artifact stays
untouched if anything fails; what was computed is kept under `scratch/failed` for a look.

Under `torchrun` the first process does all of this. The others compute the same, in a folder that
is thrown away.
"""

import ctypes
import fcntl
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from components.pipeline.gates import (
    RunFacts,
    check_gates,
    check_output_contracts,
    recheck_changed_contracts,
    write_gate_report,
)
from components.pipeline.manifest import hash_code, verify_artifact, write_manifest
from components.pipeline.paths import CODE_ROOT, StepPaths
from components.pipeline.registry import STEPS, find_artifact
from components.runtime.context import StepContext, StepResult
from components.runtime.exit_codes import ExitCode, exit_code_of
from components.runtime.model_store import day_of_version
from components.runtime.step_spec import StepSpec
from data_contracts.suite import start_importing
from gpr_core.data.days import day_end_ms, parse_day
from gpr_core.data.lake import Lake
from gpr_core.support.config import load_section, read_yaml, to_mapping
from gpr_core.support.device import resolve_device
from gpr_core.support.distributed import joined_processes, place_of_process
from gpr_core.support.errors import (
    ArtifactError,
    ConfigError,
    GprError,
    LeakageError,
    suggest_name,
)
from gpr_core.support.files import publish_folder, write_json
from gpr_core.support.hashing import hash_file, hash_value
from gpr_core.support.progress import Progress
from gpr_core.support.run_config import RunConfig

_LOGGER = logging.getLogger("gpr.step")
_PR_SET_PDEATHSIG = 1
_KNOWN_SECTIONS = ("run", "world")


@dataclass(frozen=True, slots=True)
class Timings:
    """Wall seconds of the phases of one step.

    Loading the step's own code is part of starting its process; what is neither that nor
    `compute_s` is what the framework adds.
    """

    import_s: float
    resolve_s: float
    compute_s: float
    check_s: float
    publish_s: float


def run_step(spec: StepSpec, paths: StepPaths) -> ExitCode:
    """Run one step from its inputs to its published outputs, and record how it ended.

    Args:
        spec: The step.
        paths: Where things are.

    Returns:
        The exit code; every error is logged and written to `paths.status`, none is raised. Where
        another process is at work, its status and its staging folder are left alone.
    """
    _die_with_parent()
    if not place_of_process().is_first:
        return _help(spec, paths)
    try:
        with _only_one(paths.staging):
            return _run_alone(spec, paths)
    except BusyError as error:
        _LOGGER.error("%s  %s", spec.name, error)  # noqa: TRY400 - a message, not a crash
        return exit_code_of(error)


def _run_alone(spec: StepSpec, paths: StepPaths) -> ExitCode:
    """Run the step and record how it ended; the caller holds the lock."""
    record: dict[str, Any] = {"step": spec.name, "pid": os.getpid()}
    write_json(paths.status, {**record, "state": "running"})
    try:
        timings = _execute(spec, paths)
        record |= {"state": "done", "code": 0, "timings": _rounded(timings)}
        code = ExitCode.DONE
    except BaseException as error:
        code = exit_code_of(error)
        record |= {"state": "failed", "code": int(code), **_describe(error)}
        # A refusal is a message for people; only a crash deserves its traceback.
        trace = error if code is ExitCode.CRASH else None
        _LOGGER.log(
            logging.ERROR, "%s  %s: %s", spec.name, type(error).__name__, error, exc_info=trace
        )
        _keep_failed(paths)
    write_json(paths.status, record)
    return code


def _help(spec: StepSpec, paths: StepPaths) -> ExitCode:
    """Compute what the first process computes, and publish nothing."""
    logging.disable(logging.INFO)
    try:
        with TemporaryDirectory() as folder:
            hidden = replace(paths, staging=Path(folder) / "staging", reports=Path(folder))
            module = import_module(f"components.{spec.name}.main")
            run, params = load_params(spec, module.PARAMS, paths.params)
            origin = _origin(spec, paths, run, params)
            context = _make_context(spec, hidden, run, params, identity=hash_value(origin))
            _compute(module, context)
    except BaseException as error:
        rank = place_of_process().rank
        _LOGGER.log(logging.ERROR, "%s  process %d failed", spec.name, rank, exc_info=error)
        return exit_code_of(error)
    return ExitCode.DONE


def _compute(module: Any, context: StepContext[Any]) -> StepResult:
    """Do the work of the step, together with the other processes if there are any."""
    with joined_processes(context.device) as processes:
        result: StepResult = module.run(replace(context, processes=processes))
    return result


def _execute(spec: StepSpec, paths: StepPaths) -> Timings:
    """Do the five phases."""
    clock = time.monotonic
    started = clock()
    if any(artifact.contracts for artifact in spec.outputs):
        start_importing()
    module = import_module(f"components.{spec.name}.main")
    imported = clock()
    run, params = load_params(spec, module.PARAMS, paths.params)
    origin = _origin(spec, paths, run, params)
    context = _make_context(spec, paths, run, params, identity=hash_value(origin))
    resolved = clock()

    _LOGGER.info("%s  day %s  %s", spec.name, run.day, spec.summary)
    result = _compute(module, context)
    computed = clock()

    check_gates(spec, result.gates)
    inputs = {name: (find_artifact(name), path) for name, path in paths.inputs.items()}
    source = Lake(context.lake).source() if spec.lake_manifests else None
    facts = RunFacts(cutoff_ts=context.cutoff_ts, source=source, bounds=result.bounds)
    contracts = check_output_contracts(spec, context.outputs, inputs, facts, paths.reports)
    checked = clock()

    for artifact in spec.outputs:
        folder = context.outputs[artifact.name]
        write_gate_report(folder, spec, result.gates, contracts[artifact.name])
        write_manifest(folder, step=spec.name, origin=origin, providers=result.providers)
    _publish(spec, paths, context, result)
    return Timings(
        import_s=imported - started,
        resolve_s=resolved - imported,
        compute_s=computed - resolved,
        check_s=checked - computed,
        publish_s=clock() - checked,
    )


def load_params(spec: StepSpec, section: type[Any], path: Path) -> tuple[RunConfig, Any]:
    """Read the `run` section and the step's own section, and nothing else.

    Args:
        spec: The step.
        section: Dataclass of its section.
        path: The params.yaml.

    Returns:
        The run section and the step's section.

    Raises:
        ConfigError: If a section or key is unknown, missing or wrong.
    """
    values = read_yaml(path) or {}
    known = (*_KNOWN_SECTIONS, *step_sections())
    for name in values:
        if name not in known:
            raise ConfigError(
                f"unknown section {name!r}", where=str(path), fix=suggest_name(str(name), known)
            )
    run = load_section(RunConfig, values.get("run"), where=f"{path} run")
    params = load_section(section, values.get(spec.section), where=f"{path} {spec.section}")
    return run, params


def step_sections() -> tuple[str, ...]:
    """List the sections of params.yaml that belong to steps.

    Returns:
        Section names in step order.
    """
    return tuple(spec.section for spec in STEPS)


def _origin(spec: StepSpec, paths: StepPaths, run: RunConfig, params: Any) -> dict[str, Any]:
    """Collect everything that the result depends on, checking the inputs on the way."""
    inputs = {}
    for name, folder in paths.inputs.items():
        inputs[name] = verify_artifact(folder, step=spec.name)
        recheck_changed_contracts(find_artifact(name), folder, step=spec.name)
    _refuse_later_champion(run)
    manifests = landed_manifests(spec, paths.base / run.lake, run.day)
    values = to_mapping(run)
    together = _processes(spec)
    return {
        "inputs": inputs,
        "lake": {name: hash_file(path) for name, path in manifests.items()},
        "code": hash_code(CODE_ROOT, spec.code),
        "params": to_mapping(params),
        "run": {name: values[name] for name in spec.run_params},
        "device": resolve_device(run.device),
        # How many processes add up their shares changes the rounding, and so the bytes.
        **({"processes": together} if together > 1 else {}),
    }


def _processes(spec: StepSpec) -> int:
    """Count the processes that work on the step, and refuse several where it knows of one only."""
    count = place_of_process().count
    if count > 1 and not spec.parallel:
        raise ConfigError(
            f"{count} processes were started for step {spec.name!r}, which runs in one",
            where="torchrun",
            fix=f"run `gpr step run {spec.name}` without torchrun; parallel steps: "
            + ", ".join(step.name for step in STEPS if step.parallel),
        )
    return count


def _refuse_later_champion(run: RunConfig) -> None:
    """Refuse a champion that has seen the day it would be judged on."""
    if run.champion is not None and day_of_version(run.champion) >= run.day:
        raise LeakageError(
            f"champion {run.champion} was trained on a day that is not before {run.day}",
            where="params.yaml run.champion",
            fix="pin an earlier version, or null; `gpr run` in a new workspace does so by itself",
        )


def landed_manifests(spec: StepSpec, lake: Path, day: str) -> dict[str, Path]:
    """Find the lake manifests that a step depends on.

    Args:
        spec: The step.
        lake: Folder of the lake.
        day: Training day, ISO.

    Returns:
        Manifest name -> existing file.

    Raises:
        ArtifactError: If a day that is needed has not landed.
    """
    folder = lake / "manifests" / day
    manifests: dict[str, Path] = {name: folder / f"{name}.json" for name in spec.lake_manifests}
    for name, path in manifests.items():
        if not path.exists():
            until = day if name == "train" else f"the day after {day}"
            raise ArtifactError(
                f"the lake has no {name} manifest of day {day}",
                where=str(path),
                fix=f"wait until {until} has landed, or run `gpr lake fill --through` that day",
            )
    return manifests


def _make_context(
    spec: StepSpec, paths: StepPaths, run: RunConfig, params: Any, *, identity: str
) -> StepContext[Any]:
    """Make clean staging folders, fix the threads and assemble the context."""
    torch.set_num_threads(run.threads)
    # The same switch as `use_deterministic_algorithms`, which also imports the compiler: a second.
    torch.set_deterministic_debug_mode("error")
    shutil.rmtree(paths.staging, ignore_errors=True)
    outputs = {artifact.name: paths.staging / artifact.name for artifact in spec.outputs}
    plots = paths.staging / ".plots"
    # A checkpoint of other inputs, code or parameters must never be resumed.
    scratch = paths.scratch / identity[:16]
    for folder in (*outputs.values(), plots, scratch, paths.reports):
        folder.mkdir(parents=True, exist_ok=True)
    day = parse_day(run.day)
    return StepContext(
        day=day,
        cutoff_ts=day_end_ms(day),
        seed=run.seed,
        threads=run.threads,
        device=resolve_device(run.device),
        params=params,
        inputs=paths.inputs,
        outputs=outputs,
        scratch=scratch,
        plots=plots,
        reports=paths.reports,
        lake=paths.base / run.lake,
        oracle=paths.base / run.oracle,
        registry=paths.base / run.registry,
        champion=run.champion,
        refit=run.refit,
        progress=Progress(spec.name, log_path=paths.reports / "metrics.jsonl"),
    )


def _publish(
    spec: StepSpec, paths: StepPaths, context: StepContext[Any], result: StepResult
) -> None:
    """Make the outputs visible; the artifacts last, since others wait for them."""
    write_json(paths.metrics, dict(result.metrics))
    if spec.plots:
        publish_folder(context.plots, paths.plots)
    for artifact in spec.outputs:
        publish_folder(context.outputs[artifact.name], paths.outputs[artifact.name])
    shutil.rmtree(paths.staging, ignore_errors=True)
    shutil.rmtree(paths.scratch, ignore_errors=True)


def _keep_failed(paths: StepPaths) -> None:
    """Move what was computed aside, so that the on-call can look at it."""
    if paths.staging.exists():
        failed = paths.staging.parent.parent / "failed" / paths.staging.name
        shutil.rmtree(failed, ignore_errors=True)
        failed.parent.mkdir(parents=True, exist_ok=True)
        paths.staging.rename(failed)


@contextmanager
def _only_one(staging: Path) -> Iterator[None]:
    """Refuse a second process for the same step in the same workspace."""
    staging.parent.mkdir(parents=True, exist_ok=True)
    lock_path = staging.with_name(f"{staging.name}.lock")
    with lock_path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise BusyError(
                f"step {staging.name!r} is already running as process {lock.read().strip()}",
                where=str(staging.parent.parent.parent),
                fix="wait for it, or stop that process and run the step again",
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


class BusyError(GprError, RuntimeError):
    """Another process works on the same step in the same workspace; worth a retry later."""


def _die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, so that no orphan goes on writing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _describe(error: BaseException) -> dict[str, str]:
    """Turn an error into the fields of status.json."""
    if isinstance(error, GprError):
        return {"kind": type(error).__name__, "message": error.what, "place": error.where}
    return {"kind": type(error).__name__, "message": str(error), "place": ""}


def _rounded(timings: Timings) -> dict[str, float]:
    """Round timings to milliseconds for status.json."""
    names = ("import_s", "resolve_s", "compute_s", "check_s", "publish_s")
    return {name: round(getattr(timings, name), 3) for name in names}
