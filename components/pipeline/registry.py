"""The ordered registry of steps: the only definition of the pipeline.

`dvc.yaml`, the Airflow DAG and the Kubeflow pipeline are all made from `STEPS`.
"""

from collections.abc import Sequence

from components.corpus_curation.spec import SPEC as CORPUS_CURATION
from components.evaluation.spec import SPEC as EVALUATION
from components.hepo.spec import SPEC as HEPO
from components.model_push.spec import SPEC as MODEL_PUSH
from components.mtp_pretrain.spec import SPEC as MTP_PRETRAIN
from components.runtime.step_spec import Artifact, StepSpec
from components.simulator_snapshot.spec import SPEC as SIMULATOR_SNAPSHOT
from components.tokenization.spec import SPEC as TOKENIZATION
from components.vaft.spec import SPEC as VAFT
from gpr_core.support.errors import ConfigError, suggest_name

STEPS: tuple[StepSpec, ...] = (
    CORPUS_CURATION,
    TOKENIZATION,
    MTP_PRETRAIN,
    VAFT,
    SIMULATOR_SNAPSHOT,
    HEPO,
    EVALUATION,
    MODEL_PUSH,
)


def find_step(name: str, steps: Sequence[StepSpec] = STEPS) -> StepSpec:
    """Look a step up by name.

    Args:
        name: Name of the step.
        steps: The registry.

    Returns:
        Its spec.

    Raises:
        ConfigError: If there is no such step.
    """
    by_name = {spec.name: spec for spec in steps}
    if name not in by_name:
        raise ConfigError(f"unknown step {name!r}", fix=suggest_name(name, by_name))
    return by_name[name]


def find_artifact(name: str, steps: Sequence[StepSpec] = STEPS) -> Artifact:
    """Look an artifact up by name.

    Args:
        name: Name of the artifact.
        steps: The registry.

    Returns:
        Its description.

    Raises:
        ConfigError: If no step writes it.
    """
    artifacts = {artifact.name: artifact for spec in steps for artifact in spec.outputs}
    if name not in artifacts:
        raise ConfigError(f"unknown artifact {name!r}", fix=suggest_name(name, artifacts))
    return artifacts[name]


def edges(steps: Sequence[StepSpec] = STEPS) -> tuple[tuple[str, str], ...]:
    """List which step must finish before which other.

    Args:
        steps: The registry.

    Returns:
        Sorted pairs (upstream, downstream), one for each pair of steps that share an artifact.

    Raises:
        ConfigError: If two steps write one artifact, or an input is not written earlier.
    """
    maker: dict[str, str] = {}
    pairs: set[tuple[str, str]] = set()
    for spec in steps:
        for name in spec.inputs:
            if name not in maker:
                raise ConfigError(
                    f"step {spec.name!r} reads {name!r}, which no earlier step writes",
                    where="components/pipeline/registry.py",
                    fix=suggest_name(name, maker),
                )
            pairs.add((maker[name], spec.name))
        for artifact in spec.outputs:
            if artifact.name in maker:
                raise ConfigError(
                    f"both {maker[artifact.name]!r} and {spec.name!r} write {artifact.name!r}",
                    where="components/pipeline/registry.py",
                    fix="rename one of the artifacts",
                )
            maker[artifact.name] = spec.name
    return tuple(sorted(pairs))
