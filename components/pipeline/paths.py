"""Where a step finds and leaves things: a workspace on disk, or paths given by an orchestrator."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from components.runtime.step_spec import StepSpec

CODE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPaths:
    """All paths of one step execution.

    Attributes:
        params: The params.yaml to read.
        inputs: Artifact name -> folder to read.
        outputs: Artifact name -> folder to publish.
        metrics: File for the DVC metrics.
        plots: Folder for the DVC plots.
        staging: Folder in which outputs are prepared; same file system as the outputs.
        scratch: Folder for checkpoints that survive a crash.
        reports: Folder for Data Docs and quarantined rows.
        status: File that says how the step ended.
        base: Folder that relative paths of the `run` section start from.
    """

    params: Path
    inputs: Mapping[str, Path]
    outputs: Mapping[str, Path]
    metrics: Path
    plots: Path
    staging: Path
    scratch: Path
    reports: Path
    status: Path
    base: Path

    @classmethod
    def in_workspace(cls, spec: StepSpec, workspace: Path) -> "StepPaths":
        """Lay the paths out in a workspace.

        Args:
            spec: The step.
            workspace: Folder that holds params.yaml.

        Returns:
            Its paths.
        """
        artifacts = workspace / "artifacts"
        return cls(
            params=workspace / "params.yaml",
            inputs={name: artifacts / name for name in spec.inputs},
            outputs={artifact.name: artifacts / artifact.name for artifact in spec.outputs},
            metrics=workspace / "metrics" / f"{spec.name}.json",
            plots=workspace / "plots" / spec.name,
            staging=workspace / "scratch" / "staging" / spec.name,
            scratch=workspace / "scratch" / "checkpoints" / spec.name,
            reports=workspace / "reports" / spec.name,
            status=workspace / "scratch" / "status" / f"{spec.name}.json",
            base=workspace,
        )

    def with_artifacts(
        self, *, inputs: Mapping[str, Path], outputs: Mapping[str, Path]
    ) -> "StepPaths":
        """Read and publish artifacts elsewhere.

        Args:
            inputs: Artifact name -> folder to read.
            outputs: Artifact name -> folder to publish.

        Returns:
            The same paths with other artifact folders.
        """
        return replace(self, inputs=inputs, outputs=outputs)
