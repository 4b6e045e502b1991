"""One step inside a Kubeflow container: executor input in, executor output out.

Kubeflow hands over one JSON argument with scalar parameters and the URIs of input and output
artifacts; whoever starts the container has mounted what the URIs name.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from components.pipeline.execute import run_step
from components.pipeline.paths import StepPaths
from components.runtime.exit_codes import ExitCode
from components.runtime.step_spec import StepSpec
from gpr_core.support.errors import ConfigError
from gpr_core.support.files import write_json, write_text

# Scalars that every component takes; `params` is the whole params.yaml as text.
RUN_PARAMETERS = ("params", "lake", "oracle", "registry")

# Where Kubeflow mounts the object stores.
_MOUNTS = {"gs://": "/gcs/", "s3://": "/s3/", "minio://": "/minio/"}


def run_in_container(spec: StepSpec, executor_input: str) -> ExitCode:
    """Run one step with the paths that Kubeflow gave.

    Args:
        spec: The step.
        executor_input: The `{{$}}` argument, JSON.

    Returns:
        The exit code; the executor output is written only if the step is done.

    Raises:
        ConfigError: If the argument is no executor input of this step.
    """
    try:
        given = json.loads(executor_input)
        values = given["inputs"]["parameterValues"]
        inputs = _folders(given["inputs"].get("artifacts", {}), spec.inputs)
        written = tuple(artifact.name for artifact in spec.outputs)
        outputs = _folders(given["outputs"].get("artifacts", {}), written)
        output_file = Path(given["outputs"]["outputFile"])
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"not an executor input: {error!r}",
            where=f"step {spec.name} --executor-input",
            fix="this option is for Kubeflow; run `gpr step run NAME` by hand without it",
        ) from error
    workspace = _workspace(spec, values, next(iter(outputs.values())).parent)
    paths = StepPaths.in_workspace(spec, workspace)
    code = run_step(spec, paths.with_artifacts(inputs=inputs, outputs=outputs))
    if code is ExitCode.DONE:
        write_json(output_file, {"artifacts": given["outputs"]["artifacts"]})
    return code


def local_path(uri: str) -> Path:
    """Say where Kubeflow mounts an artifact.

    Args:
        uri: URI of the artifact, or a local path.

    Returns:
        Its local path.

    Example:
        >>> local_path("s3://bucket/run/corpus").as_posix()
        '/s3/bucket/run/corpus'
    """
    for scheme, mount in _MOUNTS.items():
        if uri.startswith(scheme):
            return Path(mount + uri.removeprefix(scheme))
    return Path(uri)


def _folders(artifacts: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Path]:
    """Name the local folder of each artifact, in the order of the spec, as every runner does."""
    return {name: local_path(artifacts[name]["artifacts"][0]["uri"]) for name in names}


def _workspace(spec: StepSpec, values: Mapping[str, str], parent: Path) -> Path:
    """Make a workspace beside the outputs, so that publishing is a rename on one file system."""
    workspace = parent / f".workspace-{spec.name}"
    params = yaml.safe_load(values["params"])
    params["run"] |= {name: values[name] for name in RUN_PARAMETERS if name != "params"}
    write_text(workspace / "params.yaml", yaml.safe_dump(params, sort_keys=False))
    return workspace
