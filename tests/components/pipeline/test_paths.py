"""The layout of a workspace."""

from pathlib import Path

from components.pipeline.paths import StepPaths
from components.runtime.step_spec import Artifact, StepSpec

SPEC = StepSpec(
    name="use",
    summary="",
    section="use",
    inputs=("x",),
    outputs=(Artifact(name="y", type="model"),),
)


def test_artifacts_lie_below_artifacts_and_checkpoints_outside():
    paths = StepPaths.in_workspace(SPEC, Path("/w"))
    assert paths.inputs == {"x": Path("/w/artifacts/x")}
    assert paths.outputs == {"y": Path("/w/artifacts/y")}
    assert Path("/w/artifacts") not in paths.scratch.parents


def test_artifacts_can_be_read_and_published_elsewhere():
    paths = StepPaths.in_workspace(SPEC, Path("/w"))
    other = paths.with_artifacts(inputs={"x": Path("/in")}, outputs={"y": Path("/out")})
    assert (other.inputs["x"], other.outputs["y"]) == (Path("/in"), Path("/out"))
    assert other.metrics == paths.metrics
