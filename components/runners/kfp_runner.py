"""The registry as a Kubeflow pipeline of container components.

What such a container does when it starts is in `components/pipeline/container.py`.
"""

import inspect
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from components.pipeline.container import RUN_PARAMETERS
from components.runtime.step_spec import ArtifactType, StepSpec

_TYPES: Mapping[ArtifactType, type[dsl.Artifact]] = {
    "dataset": dsl.Dataset,
    "model": dsl.Model,
    "metrics": dsl.Metrics,
    "report": dsl.HTML,
}


def make_component(spec: StepSpec, artifact_types: Mapping[str, ArtifactType], tag: str) -> Any:
    """Make the container component of one step.

    Args:
        spec: The step.
        artifact_types: Artifact name -> its type.
        tag: Tag or digest of the image.

    Returns:
        A KFP component; its only argument inside the container is the executor input.
    """
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, kind, annotation=str) for name in RUN_PARAMETERS]
    parameters += [
        inspect.Parameter(name, kind, annotation=dsl.Input[_TYPES[artifact_types[name]]])
        for name in spec.inputs
    ]
    parameters += [
        inspect.Parameter(artifact.name, kind, annotation=dsl.Output[_TYPES[artifact.type]])
        for artifact in spec.outputs
    ]

    def component(*_: Any, **__: Any) -> dsl.ContainerSpec:
        return dsl.ContainerSpec(
            image=f"{spec.resources.image}:{tag}",
            command=["gpr"],
            args=["step", "run", spec.name, "--executor-input", "{{$}}"],
        )

    component.__name__ = spec.name
    component.__doc__ = spec.summary
    component.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    component.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        parameters, return_annotation=dsl.ContainerSpec
    )
    return dsl.container_component(component)


def make_pipeline(steps: Sequence[StepSpec], *, tag: str) -> Any:
    """Make the pipeline.

    Args:
        steps: The registry.
        tag: Tag or digest of the step images.

    Returns:
        A KFP pipeline with the parameters `RUN_PARAMETERS`.
    """
    types = {artifact.name: artifact.type for spec in steps for artifact in spec.outputs}
    components = {spec.name: make_component(spec, types, tag) for spec in steps}

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name="gpr-daily", description="Eight steps from logs to a better ad model"
    )
    def gpr_daily(params: str, lake: str, oracle: str, registry: str) -> None:
        shared = {"params": params, "lake": lake, "oracle": oracle, "registry": registry}
        made: dict[str, Any] = {}
        for spec in steps:
            task = components[spec.name](**shared, **{name: made[name] for name in spec.inputs})
            _set_resources(task, spec)
            made |= {artifact.name: task.outputs[artifact.name] for artifact in spec.outputs}

    return gpr_daily


def compile_pipeline(steps: Sequence[StepSpec], *, tag: str) -> str:
    """Compile the pipeline to its intermediate representation.

    Args:
        steps: The registry.
        tag: Tag or digest of the step images.

    Returns:
        YAML text that Kubeflow Pipelines accepts.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pipeline.yaml"
        compiler.Compiler().compile(make_pipeline(steps, tag=tag), str(path))
        return path.read_text(encoding="utf-8")


def _set_resources(task: Any, spec: StepSpec) -> None:
    """Ask for what the step needs; DVC is the one cache, and a receipt is never replayed."""
    resources = spec.resources
    task.set_display_name(spec.name)
    task.set_cpu_limit(str(resources.cpu))
    task.set_memory_limit(f"{resources.memory_gib}G")
    task.set_retry(
        num_retries=resources.retries,
        backoff_duration="30s",
        backoff_factor=2.0,
        backoff_max_duration="300s",
    )
    task.set_caching_options(enable_caching=False)
    if resources.gpus:
        task.set_accelerator_type("nvidia.com/gpu")
        task.set_accelerator_limit(resources.gpus)
